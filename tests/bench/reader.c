/* The least that can be done to time a broadcast: epoll, one recvmsg with the kernel's stamp, a search for the needle, the reply's number
 * read off behind it, its due time looked up in an array, and the difference counted in a histogram that is an array as well.
 * reader PORT SOCKETS ROUNDS WARM: connects without a handshake, acknowledges each round with a newline on descriptor 1, then prints JSON. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
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

static int64_t *due_us, expected;
static long histogram[23552];

/* Count a latency in HDR's layout: below 2048 µs each has its bucket, then 1024 buckets an octave. */
static void record(int64_t us) {
    int shift = us < 2048 ? 0 : 53 - __builtin_clzll(us);
    if (us >= 0 && us <= 3600000000LL)
        histogram[((int64_t)shift << 10) + (us >> shift)]++;
}

/* Read one socket once; return the frames in it, count those with the marker of an expected reply. */
static long drain(int fd, long *hits) {
    static unsigned char buffer[262144];
    char control[64];
    struct iovec into = {buffer, sizeof buffer};
    struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    long size = recvmsg(fd, &message, MSG_DONTWAIT), frames = 0;
    struct cmsghdr *stamp = CMSG_FIRSTHDR(&message);
    struct timespec at;
    if (size <= 0 || !stamp)
        exit(1);
    memcpy(&at, CMSG_DATA(stamp), sizeof at);
    for (long i = 0; i < size; frames++) {
        long length = buffer[i + 2] << 8 | buffer[i + 3];
        char *found = memmem(buffer + i + 4, length, "lk0badcafe-0-r", 14);
        long number = found ? strtol(found + 14, NULL, 10) : expected;
        if (number < expected) {
            record(at.tv_sec * 1000000LL + at.tv_nsec / 1000 - due_us[number]);
            ++*hits;
        }
        i += 4 + length;
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
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    due_us = malloc(total * sizeof *due_us);
    for (expected = 0; expected < total; expected++)
        due_us[expected] = now.tv_sec * 1000000LL + now.tv_nsec / 1000;
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
