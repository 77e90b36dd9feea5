/* The least that can be done with a broadcast: epoll, one recvmsg with the kernel's stamp, a search for the needle.
 * reader PORT SOCKETS ROUNDS WARM: connects without a handshake, acknowledges each round with a newline on descriptor 1, then prints JSON. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static double cpu(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int dial(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    if (fd < 0 || connect(fd, (void *)&to, sizeof to)) {
        perror("connect");
        exit(1);
    }
    return fd;
}

/* Read one socket once; return the frames in it, count those with the needle. */
static long drain(int fd, long *hits) {
    static unsigned char buffer[262144];
    char control[64];
    struct iovec into = {buffer, sizeof buffer};
    struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    long size = recvmsg(fd, &message, MSG_DONTWAIT), frames = 0;
    if (size == 0)
        exit(1);
    for (long at = 0; at < size; frames++) {
        long length = buffer[at + 2] << 8 | buffer[at + 3];
        *hits += memmem(buffer + at + 4, length, "lk0badcafe-", 11) != NULL;
        at += 4 + length;
    }
    return frames;
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    int port = atoi(argv[1]), sockets = atoi(argv[2]), set = epoll_create1(0);
    long total = atol(argv[3]) * sockets, warm = atol(argv[4]) * sockets, seen = 0, hits = 0, told = 0;
    double began = 0;
    struct epoll_event ready[64];
    for (int i = 0; i < sockets; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = dial(port)};
        epoll_ctl(set, EPOLL_CTL_ADD, event.data.fd, &event);
    }
    while (seen < total) {
        int count = epoll_wait(set, ready, 64, -1);
        for (int i = 0; i < count; i++)
            seen += drain(ready[i].data.fd, &hits);
        if (seen / sockets > told) {
            told = seen / sockets;
            if (seen == warm)
                began = cpu();
            if (seen == total)
                printf("{\"cpu_us\": %.4f, \"hits\": %ld}\n", (cpu() - began) * 1e6 / (total - warm), hits);
            if (write(1, "\n", 1) != 1)
                return 1;
        }
    }
    return 0;
}
