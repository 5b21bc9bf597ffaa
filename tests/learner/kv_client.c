/* The learner's client: kv_client --port=9001 put KEY VALUE. Prints the reply; exit status 1 for NOT_FOUND, 2 for ERR, 3 without a reply. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char message[4096] = "", reply[4097];
    unsigned size, n = 0;
    if (argc < 4 || strncmp(argv[1], "--port=", 7)) { fprintf(stderr, "usage: kv_client --port=PORT put|get|delete KEY [VALUE]\n"); return 2; }
    for (int i = 2; i < argc; i++) snprintf(message + strlen(message), sizeof message - strlen(message), i > 2 ? " %s" : "%s", argv[i]);
    int node = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1] + 7)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (connect(node, (void *)&address, sizeof address)) { perror("connect"); return 3; }
    size = htonl(strlen(message));
    if (write(node, &size, 4) != 4 || write(node, message, strlen(message)) < 0 || read(node, &size, 4) != 4) return 3;
    size = ntohl(size);
    while (n < size && n < 4096) { ssize_t got = read(node, reply + n, size - n); if (got <= 0) return 3; n += got; }
    reply[n] = 0;
    puts(reply);
    return !strcmp(reply, "NOT_FOUND") ? 1 : !strncmp(reply, "ERR", 3) ? 2 : 0;
}
