/*
 * Answers on AF_VSOCK port 1024, where Kata's agent listens: sends back each
 * line with the guest's own address in front of it.
 *
 *   -> WORD     <- CID WORD
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

enum { PORT = 1024 };

/* It changes when a template's guest becomes a clone: asked for each line. */
static unsigned own_address(void)
{
    unsigned cid = 0;
    int fd = open("/dev/vsock", O_RDONLY);

    if (fd < 0 || ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid)) {
        perror("vsock-echo: no address");
    }
    close(fd);
    return cid;
}

static void answer(int peer)
{
    char line[256];
    FILE *in = fdopen(peer, "r");

    while (in && fgets(line, sizeof(line), in)) {
        if (dprintf(peer, "%u %s", own_address(), line) < 0) {
            break;
        }
    }
    if (in) {
        fclose(in);
    } else {
        close(peer);
    }
}

int main(void)
{
    struct sockaddr_vm any = {
        .svm_family = AF_VSOCK,
        .svm_port = PORT,
        .svm_cid = VMADDR_CID_ANY,
    };
    int server = socket(AF_VSOCK, SOCK_STREAM, 0);

    if (server < 0 || bind(server, (struct sockaddr *)&any, sizeof(any)) ||
        listen(server, 8)) {
        perror("vsock-echo");
        return 1;
    }
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int peer = accept(server, NULL, NULL);

        /* A process each: a connection of the template's may never end. */
        if (peer >= 0 && fork() == 0) {
            close(server);
            answer(peer);
            return 0;
        }
        close(peer);
    }
}
