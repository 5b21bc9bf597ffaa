// Judges histories with Porcupine, for benchmarks/checker_peers.py.
//
// Standard input has one history a line, as tests/data/random-3000.jsonl.gz holds them:
// {"ops": [[call, return or null, client, key, kind, value, expected, outcome], …], "initial": …}.
// For each, one line: the verdict, the seconds of wall clock and of CPU that the check took, and
// the peak memory of the process in MB. The model is a register, each key judged alone; its state
// is a number, with Porcupine's hash and equality of states, which is its best case. Of histories
// with appends it is a string.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/anishathalye/porcupine"
)

const absent = -1

// An operation of which nobody knows the outcome may take effect at any time.
const never = int64(1) << 62

type history struct {
	Ops     [][8]interface{} `json:"ops"`
	Initial *string          `json:"initial"`
}

type input struct {
	kind            string
	value, expected int64
	unknown         bool
	text            string
	key             string
}

type reader struct{ numbers map[string]int64 }

func (r reader) number(value interface{}) int64 {
	text, found := value.(string)
	if !found {
		return absent
	}
	number, known := r.numbers[text]
	if !known {
		number = int64(len(r.numbers))
		r.numbers[text] = number
	}
	return number
}

// These show what they met, and change nothing.
var observations = map[string]bool{
	"get": true, "cas_met": true, "cas_missed": true, "delete_missed": true,
}

// operations leaves out what did not happen, and observations without an answer.
func (r reader) operations(read history) (kept []porcupine.Operation, appends bool) {
	for _, op := range read.Ops {
		kind, outcome := op[4].(string), op[7].(string)
		if outcome == "refused" || outcome == "unknown" && observations[kind] {
			continue
		}
		appends = appends || kind == "append"
		text, _ := op[5].(string)
		in := input{kind, r.number(op[5]), r.number(op[6]), outcome == "unknown", text, op[3].(string)}
		back := never
		if op[1] != nil && !in.unknown {
			back = int64(op[1].(float64))
		}
		kept = append(kept, porcupine.Operation{
			ClientId: int(op[2].(float64)), Input: in, Call: int64(op[0].(float64)), Return: back,
		})
	}
	return kept, appends
}

func byKey(all []porcupine.Operation) [][]porcupine.Operation {
	parts := map[string][]porcupine.Operation{}
	for _, operation := range all {
		key := operation.Input.(input).key
		parts[key] = append(parts[key], operation)
	}
	var found [][]porcupine.Operation
	for _, part := range parts {
		found = append(found, part)
	}
	return found
}

// numbers is a register of numbers.
func numbers(initial int64) porcupine.Model {
	return porcupine.Model{
		Partition: byKey,
		Init:      func() interface{} { return initial },
		Step: func(state, in, _ interface{}) (bool, interface{}) {
			now, op := state.(int64), in.(input)
			switch op.kind {
			case "put":
				return true, op.value
			case "get", "cas_met":
				return now == op.value, now
			case "delete":
				return true, int64(absent)
			case "delete_missed":
				return now == absent, now
			case "cas_missed":
				return now != op.expected, now
			case "cas":
				if now == op.expected {
					return true, op.value
				}
				return op.unknown, now
			}
			panic("unknown kind " + op.kind)
		},
		Equal: func(a, b interface{}) bool { return a.(int64) == b.(int64) },
		Hash:  func(state interface{}) uint64 { return uint64(state.(int64)) * 0x9e3779b97f4a7c15 },
	}
}

// strings is a register of strings that can be appended to; names maps the numbers to them. A key
// that is not there is a string that no client writes.
func strings(initial int64, names []string) porcupine.Model {
	const missing = "\x00"
	name := func(number int64) string {
		if number == absent {
			return missing
		}
		return names[number]
	}
	return porcupine.Model{
		Partition: byKey,
		Init:      func() interface{} { return name(initial) },
		Step: func(state, in, _ interface{}) (bool, interface{}) {
			now, op := state.(string), in.(input)
			switch op.kind {
			case "put":
				return true, name(op.value)
			case "append":
				if now == missing {
					return true, op.text
				}
				return true, now + op.text
			case "get", "cas_met":
				return now == name(op.value), now
			case "delete":
				return true, missing
			case "delete_missed":
				return now == missing, now
			case "cas_missed":
				return now != name(op.expected), now
			case "cas":
				if now == name(op.expected) {
					return true, name(op.value)
				}
				return op.unknown, now
			}
			panic("unknown kind " + op.kind)
		},
		Equal: func(a, b interface{}) bool { return a.(string) == b.(string) },
		Hash: func(state interface{}) uint64 {
			sum := fnv.New64a()
			sum.Write([]byte(state.(string)))
			return sum.Sum64()
		},
	}
}

func used() syscall.Rusage {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage
}

func cpu(usage syscall.Rusage) time.Duration {
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func main() {
	limit, err := strconv.ParseFloat(os.Args[1], 64)
	if err != nil {
		panic(err)
	}
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	decoder := json.NewDecoder(lines)
	for decoder.More() {
		var read history
		if err := decoder.Decode(&read); err != nil {
			panic(err)
		}
		values := reader{map[string]int64{}}
		initial := int64(absent)
		if read.Initial != nil {
			initial = values.number(*read.Initial)
		}
		kept, appends := values.operations(read)
		model := numbers(initial)
		if appends {
			names := make([]string, len(values.numbers))
			for name, number := range values.numbers {
				names[number] = name
			}
			model = strings(initial, names)
		}
		read.Ops = nil
		before, began := used(), time.Now()
		verdict := porcupine.CheckOperationsTimeout(
			model, kept, time.Duration(limit*float64(time.Second)))
		took, after := time.Since(began), used()
		fmt.Println(verdict, took.Seconds(), (cpu(after) - cpu(before)).Seconds(),
			after.Maxrss/1024)
	}
}
