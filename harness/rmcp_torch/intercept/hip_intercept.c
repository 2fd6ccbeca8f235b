/* Stands between a program and the HIP runtime's device allocator.
 *
 *   LD_PRELOAD=libhip_intercept.so RMCP_HIP_ALLOC=uncached RMCP_HIP_LOG=/tmp/hip.%p.log python train.py
 *
 * and, loaded as PyTorch's pluggable allocator, exports rmcp_hip_alloc and rmcp_hip_free (see __init__.py).
 *
 * RMCP_HIP_ALLOC     default | fine | uncached | contiguous: what hipMalloc asks the runtime for. Unset: as called.
 *                    A request that the runtime refuses is refused; nothing falls back in silence.
 * RMCP_HIP_LOG       file to which every call is appended, %p in it is the process id. Unset: no log.
 * RMCP_HIP_LIBRARY   path of libamdhip64, when the right one is not found by itself.
 *
 * Needs no HIP headers: the three prototypes and the flags are stable since ROCm 4.2 (symbol version hip_4.2).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* hip_runtime_api.h */
enum { HIP_SUCCESS = 0, HIP_ERROR_INVALID_VALUE = 1, HIP_ERROR_SYMBOL_NOT_FOUND = 302 };
enum { FLAG_DEFAULT = 0x0, FLAG_FINE = 0x1, FLAG_UNCACHED = 0x3, FLAG_CONTIGUOUS = 0x4, FLAG_AS_CALLED = -1 };

typedef int (*malloc_fn)(void **, size_t);
typedef int (*ext_malloc_fn)(void **, size_t, unsigned int);
typedef int (*free_fn)(void *);

EXPORT int hipMalloc(void **ptr, size_t size);
EXPORT int hipExtMallocWithFlags(void **ptr, size_t size, unsigned int flags);
EXPORT int hipFree(void *ptr);
EXPORT void *rmcp_hip_alloc(ssize_t size, int device, void *stream);
EXPORT void rmcp_hip_free(void *ptr, ssize_t size, int device, void *stream);
EXPORT const char *rmcp_hip_library(void);

static struct {
    malloc_fn malloc;
    ext_malloc_fn ext_malloc;
    free_fn free;
    char library[4096]; /* where they were found, for the log */
    int mode;           /* FLAG_... */
    int log;            /* descriptor or -1 */
} real = {.mode = FLAG_AS_CALLED, .log = -1};

static pthread_once_t once = PTHREAD_ONCE_INIT;
/* The runtime may implement one of the three by another; its own calls pass through untouched. */
static __thread int depth __attribute__((tls_model("initial-exec")));

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line, one write: lines of several threads and processes do not mix. */
static void put(int fd, const char *format, va_list values)
{
    char line[8192];
    int length = vsnprintf(line, sizeof line - 1, format, values);
    if (length < 0)
        return;
    if ((size_t)length > sizeof line - 2)
        length = (int)sizeof line - 2;
    line[length++] = '\n';
    int kept = errno;
    ssize_t written = write(fd, line, (size_t)length);
    (void)written; /* nothing better can be done about a full disk in here */
    errno = kept;
}

static void say(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    put(2, format, values);
    va_end(values);
}

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
    if (real.log < 0)
        return;
    va_list values;
    va_start(values, format);
    put(real.log, format, values);
    va_end(values);
}

static void open_log(void)
{
    const char *pattern = getenv("RMCP_HIP_LOG");
    if (pattern == NULL || *pattern == '\0')
        return;
    char path[4096];
    size_t used = 0;
    for (const char *at = pattern; *at != '\0' && used < sizeof path - 16; at++) {
        if (at[0] == '%' && at[1] == 'p') {
            used += (size_t)snprintf(path + used, sizeof path - used, "%d", (int)getpid());
            at++;
        } else {
            path[used++] = *at;
        }
    }
    path[used] = '\0';
    real.log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (real.log < 0)
        say("hip_intercept: cannot write %s: %s", path, strerror(errno));
}

static void read_mode(void)
{
    const char *mode = getenv("RMCP_HIP_ALLOC");
    if (mode == NULL || *mode == '\0')
        real.mode = FLAG_AS_CALLED;
    else if (strcmp(mode, "default") == 0)
        real.mode = FLAG_DEFAULT;
    else if (strcmp(mode, "fine") == 0)
        real.mode = FLAG_FINE;
    else if (strcmp(mode, "uncached") == 0)
        real.mode = FLAG_UNCACHED;
    else if (strcmp(mode, "contiguous") == 0)
        real.mode = FLAG_CONTIGUOUS;
    else
        say("hip_intercept: RMCP_HIP_ALLOC=%s is not default, fine, uncached or contiguous; ignored", mode);
}

/* Take the symbols from one handle; true when all three that we need are there and none is our own. */
static int take(void *handle, const char *where)
{
    static const char *const versions[] = {NULL, "hip_4.2"};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        void *found[3];
        static const char *const names[3] = {"hipMalloc", "hipExtMallocWithFlags", "hipFree"};
        for (int n = 0; n < 3; n++)
            found[n] = versions[i] ? dlvsym(handle, names[n], versions[i]) : dlsym(handle, names[n]);
        if (found[0] == NULL || found[1] == NULL || found[2] == NULL || found[0] == (void *)hipMalloc)
            continue;
        real.malloc = (malloc_fn)found[0];
        real.ext_malloc = (ext_malloc_fn)found[1];
        real.free = (free_fn)found[2];
        Dl_info info;
        const char *file = dladdr(found[0], &info) && info.dli_fname ? info.dli_fname : where;
        snprintf(real.library, sizeof real.library, "%s", file);
        return 1;
    }
    return 0;
}

static int is_mapped(struct dl_phdr_info *info, size_t size, void *path)
{
    (void)size;
    if (info->dlpi_name == NULL || strstr(info->dlpi_name, "libamdhip64.so") == NULL)
        return 0;
    snprintf((char *)path, 4096, "%s", info->dlpi_name);
    return 1;
}

/* dlsym(RTLD_NEXT) sees only the global scope. Python loads torch, and torch its HIP, into a local scope, so there
 * it finds nothing: then the library that is mapped already is asked, and last one is loaded by name. */
static void resolve(void)
{
    static const char *const names[] = {"libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5",
                                        "libamdhip64.so.4", "libamdhip64.so"};
    char path[4096] = "";
    open_log();
    read_mode();
    const char *given = getenv("RMCP_HIP_LIBRARY");
    if (given != NULL && *given != '\0') {
        void *handle = dlopen(given, RTLD_LAZY | RTLD_LOCAL);
        if (handle == NULL || !take(handle, given))
            say("hip_intercept: RMCP_HIP_LIBRARY=%s: %s", given, handle ? "lacks the symbols" : dlerror());
    } else if (!take(RTLD_NEXT, "the next library")) {
        if (dl_iterate_phdr(is_mapped, path)) {
            void *handle = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
            if (handle != NULL)
                take(handle, path);
        }
        for (size_t i = 0; real.malloc == NULL && i < sizeof names / sizeof *names; i++) {
            void *handle = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
            if (handle != NULL)
                take(handle, names[i]);
        }
    }
    if (real.malloc == NULL)
        say("hip_intercept: no libamdhip64 found; set RMCP_HIP_LIBRARY to its path");
    note("open pid=%d library=%s mode=%d", (int)getpid(), real.malloc ? real.library : "none", real.mode);
}

static int ready(void)
{
    pthread_once(&once, resolve);
    return real.malloc != NULL;
}

static double now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static int allocate(const char *call, void **ptr, size_t size, int flags)
{
    double begun = real.log >= 0 ? now_us() : 0;
    depth++;
    int status = flags == FLAG_AS_CALLED ? real.malloc(ptr, size) : real.ext_malloc(ptr, size, (unsigned int)flags);
    depth--;
    if (real.log >= 0)
        note("%s size=%zu flags=%d ptr=%p status=%d us=%.1f tid=%ld", call, size, flags,
             status == HIP_SUCCESS && ptr ? *ptr : NULL, status, now_us() - begun, (long)syscall(SYS_gettid));
    return status;
}

int hipMalloc(void **ptr, size_t size)
{
    if (!ready())
        return HIP_ERROR_SYMBOL_NOT_FOUND;
    if (depth > 0)
        return real.malloc(ptr, size);
    return allocate("hipMalloc", ptr, size, real.mode);
}

int hipExtMallocWithFlags(void **ptr, size_t size, unsigned int flags)
{
    if (!ready())
        return HIP_ERROR_SYMBOL_NOT_FOUND;
    if (depth > 0)
        return real.ext_malloc(ptr, size, flags);
    /* Who asks for special memory gets it: signals live in it. Only plain requests are redirected. */
    int wanted = flags == FLAG_DEFAULT && real.mode != FLAG_AS_CALLED ? real.mode : (int)flags;
    return allocate("hipExtMallocWithFlags", ptr, size, wanted);
}

int hipFree(void *ptr)
{
    if (!ready())
        return HIP_ERROR_SYMBOL_NOT_FOUND;
    if (depth > 0)
        return real.free(ptr);
    depth++;
    int status = real.free(ptr);
    depth--;
    note("hipFree ptr=%p status=%d", ptr, status);
    return status;
}

/* torch.cuda.memory.CUDAPluggableAllocator: the device is already the current one. */
void *rmcp_hip_alloc(ssize_t size, int device, void *stream)
{
    void *ptr = NULL;
    (void)stream;
    if (size <= 0)
        return NULL;
    int status = ready() ? allocate("torch_alloc", &ptr, (size_t)size, real.mode) : HIP_ERROR_SYMBOL_NOT_FOUND;
    if (status != HIP_SUCCESS) {
        say("hip_intercept: %zd bytes on device %d refused with hipError %d", size, device, status);
        return NULL;
    }
    return ptr;
}

void rmcp_hip_free(void *ptr, ssize_t size, int device, void *stream)
{
    (void)size;
    (void)device;
    (void)stream;
    if (ptr != NULL)
        hipFree(ptr);
}

/* Path of the HIP library that answers, "" when none was found. */
const char *rmcp_hip_library(void)
{
    ready();
    return real.library;
}
