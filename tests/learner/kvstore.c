/* A learner's store: the lesson's flags, a protocol of its own (four bytes of length, then the message), one client at a time. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX 4096
static struct { char key[256], value[1024]; int used; } table[1024];
static const char *role = "leader", *leader = NULL;
static FILE *log_file;

static int find(const char *key) {
    for (int i = 0; i < 1024; i++) if (table[i].used && !strcmp(table[i].key, key)) return i;
    return -1;
}

static void apply(char op, const char *key, const char *value) {
    int i = find(key);
    if (op == 'D') { if (i >= 0) table[i].used = 0; return; }
    for (int j = 0; i < 0 && j < 1024; j++) if (!table[j].used) i = j;
    if (i < 0) return;
    table[i].used = 1;
    snprintf(table[i].key, sizeof table[i].key, "%s", key);
    snprintf(table[i].value, sizeof table[i].value, "%s", value);
}

static void store(char op, const char *key, const char *value) {
    apply(op, key, value);
    fprintf(log_file, "%c %s %s\n", op, key, value);
    fflush(log_file);
    fsync(fileno(log_file));
}

static void load(const char *path) {
    char line[MAX], key[256], value[1024];
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        value[0] = 0;
        if (sscanf(line, "%*c %255s %1023[^\n]", key, value) >= 1) apply(line[0], key, value);
    }
    if (file) fclose(file);
}

static void answer(char *message, char *reply) {        /* "put KEY VALUE", "get KEY", "delete KEY" */
    char verb[16] = "", key[256] = "", value[1024] = "";
    sscanf(message, "%15s %255s %1023[^\n]", verb, key, value);
    int is_get = !strcmp(verb, "get"), is_put = !strcmp(verb, "put"), is_delete = !strcmp(verb, "delete");
    if (!is_get && !is_put && !is_delete) { snprintf(reply, MAX, "ERR unknown command"); return; }
    if (!is_get && strcmp(role, "leader")) {
        if (leader) snprintf(reply, MAX, "ERR read-only, leader is on port %s", leader);
        else snprintf(reply, MAX, "ERR read-only: this node is a follower");
        printf("[node] FOLLOWER refused %s of %s\n", verb, key);
        return;
    }
    int i = find(key);
    if (is_put) { store('P', key, value); snprintf(reply, MAX, "OK"); }
    else if (i < 0) snprintf(reply, MAX, "NOT_FOUND");
    else if (is_get) snprintf(reply, MAX, "VALUE %s", table[i].value);
    else { store('D', key, ""); snprintf(reply, MAX, "OK"); }
}

static int all(int socket, void *data, size_t size) {
    for (size_t n = 0; n < size;) { ssize_t got = read(socket, (char *)data + n, size - n); if (got <= 0) return 0; n += got; }
    return 1;
}

static void stop(int number) { (void)number; _exit(0); }

int main(int argc, char **argv) {
    int port = 0, on = 1;
    char path[512] = "kvstore.log", message[MAX + 1], reply[MAX];
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "--port=", 7)) port = atoi(argv[i] + 7);
        else if (!strncmp(argv[i], "--data-dir=", 11)) snprintf(path, sizeof path, "%s/kvstore.log", argv[i] + 11);
        else if (!strncmp(argv[i], "--role=", 7)) role = argv[i] + 7;
        else if (!strncmp(argv[i], "--leader=", 9)) leader = argv[i] + 9;
        else { fprintf(stderr, "unknown option %s\n", argv[i]); return 2; }
    }
    int is_leader = !strcmp(role, "leader");
    signal(SIGTERM, stop);
    signal(SIGPIPE, SIG_IGN);
    load(path);
    log_file = fopen(path, "a");
    if (!log_file) { perror(path); return 2; }
    printf("[node] starting as %s on port %d\n", is_leader ? "LEADER" : "FOLLOWER", port);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 16)) { perror("bind"); return 1; }
    printf("[node] listening on port %d\n", port);
    for (;;) {
        int client = accept(listener, NULL, NULL);
        unsigned size;
        while (all(client, &size, 4) && ntohl(size) <= MAX && all(client, message, ntohl(size))) {
            message[ntohl(size)] = 0;
            answer(message, reply);
            size = htonl(strlen(reply));
            if (write(client, &size, 4) != 4 || write(client, reply, strlen(reply)) < 0) break;
        }
        close(client);
    }
}
