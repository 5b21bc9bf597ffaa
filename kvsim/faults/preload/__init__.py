"""The library that is loaded into nodes whose disk or clock is to be broken: built, put in place, told and read from outside."""
