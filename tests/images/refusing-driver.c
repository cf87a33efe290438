/* A driver that refuses: cuInit answers with REFUSAL, as one that is too old (803), or finds no GPU (100), does. */

#include <stddef.h>

/* Those that MXNet's library is linked with. */
#define REFUSES(name) \
  int name(void) { return REFUSAL; }

REFUSES(cuDeviceGet)
REFUSES(cuDevicePrimaryCtxRetain)
REFUSES(cuGraphKernelNodeGetParams)
REFUSES(cuGraphNodeGetType)
REFUSES(cuLaunchKernel)
REFUSES(cuModuleGetFunction)
REFUSES(cuModuleLoadData)
REFUSES(cuModuleLoadDataEx)
REFUSES(cuModuleUnload)

static int same(const char *a, const char *b) {
  for (; *a && *a == *b; a++, b++) {
  }
  return *a == *b;
}
int cuInit(unsigned flags) { return (void)flags, REFUSAL; }
int cuDriverGetVersion(int *version) { return *version = 12020, 0; }
int cuDeviceGetCount(int *count) { return *count = 0, REFUSAL; }
int cuGetErrorName(int error, const char **text) { return (void)error, *text = "CUDA_ERROR_REFUSED", 0; }
int cuGetErrorString(int error, const char **text) { return (void)error, *text = "the driver refuses", 0; }
int cuGetExportTable(const void **table, const void *id) { return (void)id, *table = NULL, REFUSAL; }
static int refuse(void) { return REFUSAL; }
int cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long flags, int *status) {
  (void)version, (void)flags;
  *function = same(name, "cuInit")               ? (void *)cuInit
              : same(name, "cuDriverGetVersion") ? (void *)cuDriverGetVersion
                                                 : (void *)refuse;
  if (status != NULL) *status = 0;
  return 0;
}
int cuGetProcAddress(const char *name, void **function, int version, unsigned long flags) {
  return cuGetProcAddress_v2(name, function, version, flags, NULL);
}
