/* What MXNet's library is linked with where there is no driver. It has the functions of libcuda that MXNet names and
 * those that others ask first, and each answers as NVIDIA's own stub does. How it stands behind every real driver is
 * told in the Dockerfile; `static.contract` of the smoke suite checks it. */

enum { CUDA_SUCCESS = 0, CUDA_ERROR_STUB_LIBRARY = 34 };

#define ABSENT(name) int name(void) { return CUDA_ERROR_STUB_LIBRARY; }

ABSENT(cuInit)
ABSENT(cuDeviceGet)
ABSENT(cuDevicePrimaryCtxRetain)
ABSENT(cuGraphKernelNodeGetParams)
ABSENT(cuGraphNodeGetType)
ABSENT(cuLaunchKernel)
ABSENT(cuModuleGetFunction)
ABSENT(cuModuleLoadData)
ABSENT(cuModuleLoadDataEx)
ABSENT(cuModuleUnload)

/* No version is how the CUDA runtime knows that there is no driver: it then says so, as if nothing were here. */
int cuDriverGetVersion(int *version) {
  *version = 0;
  return CUDA_SUCCESS;
}

int cuGetErrorString(int error, const char **text) {
  (void)error;
  *text = "there is no NVIDIA driver: this libcuda is a stub";
  return CUDA_SUCCESS;
}
