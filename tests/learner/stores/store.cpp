// The lesson's store in C++: lines, or frames with four bytes of length in front. The file `style`
// beside the program says what it answers; the data are lines in a file of its own folder.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>

using std::string;
static std::map<string, string> style, data, options;
static std::mutex lock;
static std::ofstream file;

static string filled(string text, const string& key, const string& value) {
    for (auto [name, with] : {std::pair<string, string>{"{k}", key}, {"{v}", value},
                              {"{n}", "7"}, {"{leader}", options["leader"]}})
        for (size_t at; (at = text.find(name)) != string::npos;) text.replace(at, name.size(), with);
    return text;
}

static void record(const string& line, bool keep) {
    size_t tab = line.find('\t');
    if (tab == string::npos) data.erase(line);
    else data[line.substr(0, tab)] = line.substr(tab + 1);
    if (keep && style["keeps"] == "yes") file << line << std::endl;
}

static string answer(const string& request) {
    std::istringstream words(request);
    string verb, key, value;
    words >> verb >> key;
    std::getline(words >> std::ws, value);
    for (char& letter : verb) letter = tolower(letter);
    std::lock_guard<std::mutex> guard(lock);
    bool put = verb == "put", removes = verb == "delete", known = data.count(key);
    if ((put || removes) && options["role"] == "follower") return filled(style["refusal"], key, "");
    if (put) {
        record(key + "\t" + value, true);
        return filled(style["put"], key, value);
    }
    if (removes) {
        if (known) record(key, true);
        return filled(style[known ? "delete" : "absent"], key, "");
    }
    if (verb == "get") return filled(style[known ? "get" : "missing"], key, known ? data[key] : "");
    return "ERR unknown command";
}

static bool exactly(int socket, char* to, size_t size) {
    while (size) {
        ssize_t got = read(socket, to, size);
        if (got <= 0) return false;
        to += got, size -= got;
    }
    return true;
}

static void serve_frames(int client) {
    uint32_t size;
    while (exactly(client, reinterpret_cast<char*>(&size), 4) && ntohl(size) < 1 << 20) {
        string request(ntohl(size), 0);
        if (!exactly(client, request.data(), request.size())) break;
        string reply = answer(request);
        uint32_t length = htonl(reply.size());
        reply.insert(0, reinterpret_cast<char*>(&length), 4);
        if (write(client, reply.data(), reply.size()) < 0) break;
    }
    close(client);
}

static void serve_lines(int client) {
    string buffer;
    char chunk[4096];
    for (ssize_t size; (size = read(client, chunk, sizeof chunk)) > 0;) {
        buffer.append(chunk, size);
        for (size_t end; (end = buffer.find('\n')) != string::npos; buffer.erase(0, end + 1)) {
            string reply = answer(buffer.substr(0, end)) + "\n";
            if (write(client, reply.data(), reply.size()) < 0) break;
        }
    }
    close(client);
}

int main(int count, char** arguments) {
    options["role"] = "leader";
    for (int i = 1; i < count; i++) {
        string name = arguments[i], value;
        size_t equals = name.find('=');
        if (equals != string::npos) value = name.substr(equals + 1);
        else if (i + 1 < count) value = arguments[++i];
        options[name.substr(2, equals == string::npos ? equals : equals - 2)] = value;
    }
    std::ifstream lines(std::filesystem::read_symlink("/proc/self/exe").parent_path() / "style");
    for (string line; std::getline(lines, line);)
        style[line.substr(0, line.find(' '))] = line.substr(line.find(' ') + 1);
    signal(SIGPIPE, SIG_IGN);
    if (style["handler"] == "yes") signal(SIGTERM, [](int) { _exit(0); });
    string path = (options.count("data-dir") ? options["data-dir"] : ".") + "/data";
    std::ifstream old(path);
    for (string line; style["keeps"] == "yes" && std::getline(old, line);) record(line, false);
    file.open(path, std::ios::app);
    const char* role = options["role"] == "leader" ? "LEADER" : "FOLLOWER";
    std::cout << "[node] starting as " << role << " on port " << options["port"] << "\n";
    if (style["flush"] == "yes") std::cout.flush();
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(std::stoi(options["port"]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address)) return 1;
    if (listen(listener, 16)) return 1;
    auto serve = style["protocol"] == "frames" ? serve_frames : serve_lines;
    for (;;) std::thread(serve, accept(listener, nullptr, nullptr)).detach();
}
