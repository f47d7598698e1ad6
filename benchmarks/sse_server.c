/* An OpenAI-compatible server of event streams for benchmarks/client.py: sse_server INTERVAL_US
 *
 * It prints its port. A POST is answered with as many events of a chat completion as its max_tokens or
 * max_completion_tokens, one a write and INTERVAL_US apart (0: as fast as the socket takes them), then the usage and
 * [DONE]; a prompt has a token for each space of the request. Each event carries the time of its write, in nanoseconds
 * on CLOCK_MONOTONIC, as `t`. A GET is answered with the list of models.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST 1024
#define INPUT (1 << 16)

struct client {
    long events, sent, words;
    int64_t due; /* of the next event, ns; 0 without a request */
    size_t filled, out_length, out_done;
    char input[INPUT], out[512];
};

static int64_t interval;
static struct pollfd polled[MOST + 1];
static struct client *clients[MOST + 1];
static int count = 1;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void drop(int i) {
    close(polled[i].fd);
    free(clients[i]);
    count--;
    polled[i] = polled[count];
    clients[i] = clients[count];
}

/* Takes one whole request from the input. */
static void take(struct client *c) {
    char *end = memmem(c->input, c->filled, "\r\n\r\n", 4);
    if (!end) return;
    *end = 0;
    char *length = strcasestr(c->input, "content-length:");
    size_t whole = (size_t)(end - c->input) + 4 + (length ? strtoul(length + 15, NULL, 10) : 0);
    *end = '\r';
    if (c->filled < whole) return;
    c->events = c->words = 0;
    if (c->input[0] == 'P') {
        char last = c->input[whole - 1], *limit;
        c->input[whole - 1] = 0;
        limit = strstr(c->input, "\"max_tokens\"");
        if (!limit) limit = strstr(c->input, "\"max_completion_tokens\"");
        c->events = limit ? strtol(strchr(limit, ':') + 1, NULL, 10) : 1;
        for (char *at = end; (at = strchr(at + 1, ' '));) c->words++;
        c->input[whole - 1] = last;
    }
    memmove(c->input, c->input + whole, c->filled - whole);
    c->filled -= whole;
    c->sent = -1;
    c->due = now();
}

static void list_models(struct client *c) {
    const char *models = "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\"}]}";
    c->out_length = (size_t)sprintf(c->out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                    "Content-Length: %zu\r\n\r\n%s", strlen(models), models);
    c->out_done = 0;
    c->sent = c->events + 1;
}

static void next_event(struct client *c) {
    char event[400], *out = c->out;
    if (c->events == 0) {
        list_models(c);
        return;
    }
    if (c->sent < 0) {
        c->out_length = (size_t)sprintf(out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                        "Transfer-Encoding: chunked\r\n\r\n");
    } else if (c->sent < c->events) {
        int n = sprintf(event, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,"
                        "\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},"
                        "\"finish_reason\":null}],\"t\":%ld}\n\n", (long)now());
        c->out_length = (size_t)sprintf(out, "%x\r\n%s\r\n", n, event);
    } else {
        int n = sprintf(event, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":%ld,\"completion_tokens\":%ld}}\n\n"
                        "data: [DONE]\n\n", c->words, c->events);
        c->out_length = (size_t)sprintf(out, "%x\r\n%s\r\n0\r\n\r\n", n, event);
    }
    c->out_done = 0;
    c->due += interval;
    c->sent++;
}

/* Writes up to `most` events that are due; returns -1 if the client is gone. */
static int serve(int i, int64_t at, int most) {
    struct client *c = clients[i];
    while (most-- > 0 && c->due) {
        if (c->out_done == c->out_length) {
            if (c->sent > c->events) {
                c->due = 0;
                c->sent = c->out_length = c->out_done = 0;
                take(c);
                continue;
            }
            if (c->due > at) break;
            next_event(c);
        }
        ssize_t n = send(polled[i].fd, c->out + c->out_done, c->out_length - c->out_done, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN ? 0 : -1;
        c->out_done += (size_t)n;
    }
    return 0;
}

static void accept_client(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), yes = 1;
    if (fd < 0 || count > MOST) {
        if (fd >= 0) close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    polled[count] = (struct pollfd){.fd = fd, .events = POLLIN};
    clients[count++] = calloc(1, sizeof(struct client));
}

int main(int argc, char **argv) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = 0};
    interval = argc > 1 ? atol(argv[1]) * 1000 : 0;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, MOST)) {
        perror("sse_server");
        return 1;
    }
    socklen_t size = sizeof address;
    getsockname(listener, (void *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    polled[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    for (;;) {
        int64_t at = now(), soonest = INT64_MAX;
        for (int i = 1; i < count; i++) {
            struct client *c = clients[i];
            int waiting = c->due && c->out_done < c->out_length;
            polled[i].events = (short)(POLLIN | (waiting ? POLLOUT : 0));
            if (c->due && !waiting && c->due < soonest) soonest = c->due;
        }
        int64_t wait = soonest - at;
        struct timespec timeout = {wait > 0 ? wait / 1000000000 : 0, wait > 0 ? wait % 1000000000 : 0};
        if (ppoll(polled, (nfds_t)count, soonest == INT64_MAX ? NULL : &timeout, NULL) < 0) return 1;
        if (polled[0].revents) accept_client(listener);
        at = now();
        for (int i = count - 1; i > 0; i--) {
            struct client *c = clients[i];
            if (polled[i].revents & (POLLIN | POLLHUP | POLLERR)) {
                ssize_t n = read(polled[i].fd, c->input + c->filled, INPUT - c->filled);
                if (n == 0 || (n < 0 && errno != EAGAIN)) {
                    drop(i);
                    continue;
                }
                if (n > 0) c->filled += (size_t)n;
                if (!c->due) take(c);
            }
            if (serve(i, at, 4) < 0) drop(i);
        }
    }
}
