// The lesson's store in Go: lines, or HTTP with plain texts. The file `style` beside the program
// says what it answers; the data are lines in a file of its own folder.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

var (
	style, options, data = map[string]string{}, map[string]string{"role": "leader"}, map[string]string{}
	lock                 sync.Mutex
	file                 *os.File
)

func says(name, key, value string) string {
	return strings.NewReplacer("{k}", key, "{v}", value, "{n}", "7", "{leader}", options["leader"]).Replace(style[name])
}

func apply(line string, keep bool) {
	key, value, found := strings.Cut(line, "\t")
	if found {
		data[key] = value
	} else {
		delete(data, key)
	}
	if keep && style["keeps"] == "yes" {
		fmt.Fprintln(file, line)
	}
}

func follows() bool { return options["role"] == "follower" }

func answer(line string) string {
	words := strings.SplitN(line, " ", 3)
	verb, key := strings.ToLower(words[0]), ""
	if len(words) > 1 {
		key = words[1]
	}
	lock.Lock()
	defer lock.Unlock()
	value, known := data[key]
	switch {
	case (verb == "put" || verb == "delete") && follows():
		return says("refusal", key, "")
	case verb == "put" && len(words) == 3:
		apply(key+"\t"+words[2], true)
		return says("put", key, words[2])
	case verb == "get" && known:
		return says("get", key, value)
	case verb == "get":
		return says("missing", key, "")
	case verb == "delete" && known:
		apply(key, true)
		return says("delete", key, "")
	case verb == "delete":
		return says("absent", key, "")
	}
	return "ERR unknown command"
}

func serveHTTP(out http.ResponseWriter, request *http.Request) {
	key := strings.TrimPrefix(request.URL.Path, "/kv/")
	body, _ := io.ReadAll(request.Body)
	lock.Lock()
	defer lock.Unlock()
	value, known := data[key]
	switch {
	case request.Method != "GET" && follows():
		http.Error(out, "read-only, leader is at "+options["leader"], 403)
	case request.Method == "PUT":
		apply(key+"\t"+string(body), true)
	case !known:
		http.Error(out, "no such key", 404)
	case request.Method == "DELETE":
		apply(key, true)
	default:
		io.WriteString(out, value)
	}
}

func serveLines(client net.Conn) {
	defer client.Close()
	for lines := bufio.NewScanner(client); lines.Scan(); {
		if _, err := fmt.Fprintln(client, answer(lines.Text())); err != nil {
			return
		}
	}
}

func main() {
	for words := os.Args[1:]; len(words) > 0; words = words[1:] {
		name, value, found := strings.Cut(strings.TrimLeft(words[0], "-"), "=")
		if !found && len(words) > 1 {
			words = words[1:]
			value = words[0]
		}
		options[name] = value
	}
	here, _ := os.Executable()
	text, _ := os.ReadFile(filepath.Join(filepath.Dir(here), "style"))
	for _, line := range strings.Split(string(text), "\n") {
		name, value, _ := strings.Cut(line, " ")
		style[name] = value
	}
	path := filepath.Join(options["data-dir"], "data")
	old, _ := os.ReadFile(path)
	file, _ = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	for _, line := range strings.Split(string(old), "\n") {
		if style["keeps"] == "yes" && line != "" {
			apply(line, false)
		}
	}
	if style["handler"] == "yes" {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		go func() { <-signals; os.Exit(0) }()
	}
	role := map[bool]string{true: "FOLLOWER", false: "LEADER"}[follows()]
	fmt.Println("[node] starting as", role, "on port", options["port"])
	listener, err := net.Listen("tcp", "127.0.0.1:"+options["port"])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if style["protocol"] == "http" {
		http.HandleFunc("/kv/", serveHTTP)
		http.Serve(listener, nil)
	}
	for {
		client, err := listener.Accept()
		if err == nil {
			go serveLines(client)
		}
	}
}
