/* A driver for one GPU of compute capability 8.0 that is not there: its memory is the host's, and what it is told to
 * launch does not run. It writes the code that it is given to stderr. For libgpuarray, which needs no more of it. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef size_t address;

#define DONE(name) \
  int name(void) { return 0; }
#define HANDLE(name) \
  int name(void **handle) { return *handle = &nothing, 0; }

static char nothing;
static void *code;
static size_t code_size;

enum { SHARED = 8, WARP = 10, UNIFIED = 41, MAJOR = 75, MINOR = 76 }; /* of enum CUdevice_attribute */

int cuDeviceGetAttribute(int *value, int which) {
  *value = which == MAJOR ? 8 : which == MINOR ? 0 : which == WARP ? 32 : which == SHARED ? 49152 : which == UNIFIED ? 1 : 1024;
  return 0;
}
int cuDeviceGetCount(int *count) { return *count = 1, 0; }
int cuDeviceGet(int *device) { return *device = 0, 0; }
int cuCtxGetDevice(int *device) { return *device = 0, 0; }
int cuDriverGetVersion(int *version) { return *version = 11080, 0; }
int cuDeviceGetName(char *name, int size) { return snprintf(name, size, "stand-in"), 0; }
int cuDeviceGetPCIBusId(char *name, int size) { return snprintf(name, size, "0000:00:00.0"), 0; }
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { return (void)device, *flags = *active = 0, 0; }
int cuDevicePrimaryCtxRetain(void **context) { return *context = &nothing, 0; }
int cuFuncGetAttribute(int *value) { return *value = 256, 0; }
int cuGetErrorName(int error, const char **text) { return (void)error, *text = "error", 0; }
int cuGetErrorString(int error, const char **text) { return (void)error, *text = "an error", 0; }
int cuLinkCreate(unsigned count, void *options, void *values, void **state) {
  return (void)count, (void)options, (void)values, *state = &nothing, 0;
}
int cuLinkAddData(void *state, int kind, void *data, size_t size) {
  (void)state, (void)kind;
  fprintf(stderr, "%.*s\n", (int)size, (char *)data);
  code = realloc(code, code_size = size);
  return memcpy(code, data, size), 0;
}
int cuLinkComplete(void *state, void **data, size_t *size) { return (void)state, *data = code, *size = code_size, 0; }
int cuMemAlloc_v2(address *to, size_t size) { return *to = (address)calloc(1, size + 1), 0; }
int cuMemAllocHost_v2(void **to, size_t size) { return *to = calloc(1, size + 1), 0; }
int cuMemFree_v2(address from) { return free((void *)from), 0; }
int cuMemFreeHost(void *from) { return free(from), 0; }
int cuMemGetInfo_v2(size_t *left, size_t *total) { return *left = *total = (size_t)1 << 32, 0; }
int cuMemcpyHtoD_v2(address to, void *from, size_t size) { return memcpy((void *)to, from, size), 0; }
int cuMemcpyHtoDAsync_v2(address to, void *from, size_t size) { return memcpy((void *)to, from, size), 0; }
int cuMemcpyDtoHAsync_v2(void *to, address from, size_t size) { return memcpy(to, (void *)from, size), 0; }
int cuMemcpyDtoDAsync_v2(address to, address from, size_t size) { return memcpy((void *)to, (void *)from, size), 0; }
int cuMemsetD8Async(address to, unsigned char value, size_t size) { return memset((void *)to, value, size), 0; }
HANDLE(cuEventCreate)
HANDLE(cuModuleGetFunction)
HANDLE(cuModuleLoadData)
HANDLE(cuModuleLoadDataEx)
HANDLE(cuStreamCreate)
DONE(cuCtxPopCurrent_v2)
DONE(cuCtxPushCurrent)
DONE(cuCtxPushCurrent_v2)
DONE(cuDevicePrimaryCtxRelease)
DONE(cuDevicePrimaryCtxSetFlags)
DONE(cuEventDestroy_v2)
DONE(cuEventRecord)
DONE(cuEventSynchronize)
DONE(cuInit)
DONE(cuIpcCloseMemHandle)
DONE(cuIpcGetMemHandle)
DONE(cuIpcOpenMemHandle)
DONE(cuLaunchKernel)
DONE(cuLinkDestroy)
DONE(cuMemAlloc)
DONE(cuMemAllocHost)
DONE(cuMemcpyPeerAsync)
DONE(cuModuleUnload)
DONE(cuStreamDestroy_v2)
DONE(cuStreamSynchronize)
DONE(cuStreamWaitEvent)
