/* Linked into libgpuarray beside Debian's objects, whose calls of dlopen and uses of stderr come here (`objcopy` in
 * the Makefile). Debian's build asks for libraries by the names that a development package has; here they are given
 * the names that NVIDIA's wheels and its driver have. */

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const char *const NAMES[][2] = {
    {"libcuda.so", "libcuda.so.1"},
    {"libnvrtc.so", "libnvrtc.so.11.2"},
    {"libcublas.so", "libcublas.so.11"},
    {"libnccl.so", "libnccl.so.2"},
};

/* The objects were compiled for programs: they cannot reach a variable of another library. */
FILE *gpuarray_stderr;

__attribute__((constructor)) static void set_stderr(void) { gpuarray_stderr = stderr; }

void *gpuarray_dlopen(const char *name, int mode) {
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
    if (strcmp(name, NAMES[i][0]) == 0)
      return dlopen(NAMES[i][1], mode);
  return dlopen(name, mode);
}
