// The lesson's store in C++: lines of text, no handler for SIGTERM, no flush of its log.
// With SEPARATE it takes --port N and --data-dir DIR; otherwise every option has an equals sign.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

static std::map<std::string, std::string> data;
static std::mutex lock;
static std::string role = "leader", leader;

static std::string answer(const std::string& line) {
    std::istringstream words(line);
    std::string verb, key, value;
    words >> verb >> key;
    std::getline(words >> std::ws, value);
    std::lock_guard<std::mutex> guard(lock);
    if (verb != "get" && role == "follower") return "ERR read-only, leader is at " + leader;
    if (verb == "put") {
        data[key] = value;
        return "OK";
    }
    if (verb == "get") return data.count(key) ? data[key] : "NOT_FOUND";
    if (verb == "delete") return data.erase(key) ? "OK" : "NOT_FOUND";
    return "ERR unknown command";
}

static void serve(int client) {
    std::string buffer;
    char chunk[4096];
    for (ssize_t size; (size = read(client, chunk, sizeof chunk)) > 0;) {
        buffer.append(chunk, size);
        for (size_t end; (end = buffer.find('\n')) != std::string::npos; buffer.erase(0, end + 1)) {
            std::string reply = answer(buffer.substr(0, end)) + "\n";
            if (write(client, reply.data(), reply.size()) < 0) break;
        }
    }
    close(client);
}

static int unknown(const std::string& name) {
    std::cerr << "unknown option " << name << "\n";
    return 2;
}

int main(int count, char** arguments) {
    int port = 0;
    for (int i = 1; i < count; i++) {
        std::string name = arguments[i], value;
        size_t equals = name.find('=');
#ifdef SEPARATE
        bool is_role = name.rfind("--role=", 0) == 0;
        if (equals == std::string::npos && i + 1 < count) value = arguments[++i];
        else if (is_role) value = name.substr(equals + 1);
        else return unknown(name);
#else
        if (equals == std::string::npos) return unknown(name);
        value = name.substr(equals + 1);
#endif
        name = name.substr(0, equals);
        if (name == "--port") port = std::stoi(value);
        else if (name == "--role" && equals != std::string::npos) role = value;
        else if (name == "--leader") leader = value;
        else if (name != "--data-dir") return unknown(name);
    }
    const char* shown = role == "leader" ? "LEADER" : "FOLLOWER";
    std::cout << "[node] starting as " << shown << " on port " << port << "\n";
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address)) return 1;
    if (listen(listener, 16)) return 1;
    for (;;) std::thread(serve, accept(listener, nullptr, nullptr)).detach();
}
