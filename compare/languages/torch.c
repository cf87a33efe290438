/* Computes a network whose weights Python saved, by the C functions that libtorch keeps stable for compiled models.
 * Their header is for C++ compilers only, so that what is used of it is declared here.
 *
 *   program WEIGHTS */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct AtenTensorOpaque *Tensor;
int32_t aoti_torch_device_type_cpu(void);
int32_t aoti_torch_dtype_float32(void);
int32_t aoti_torch_create_tensor_from_blob(void *, int64_t, const int64_t *, const int64_t *, int64_t, int32_t,
                                           int32_t, int32_t, Tensor *);
int32_t aoti_torch_cpu_addmm_out(Tensor out, Tensor bias, Tensor a, Tensor b, double beta, double alpha);
int32_t aoti_torch_call_dispatcher(const char *name, const char *overload, uint64_t *stack);

static void check(int32_t code, const char *what) {
  if (code == 0) return;
  fprintf(stderr, "error: %s\n", what);
  exit(1);
}

static Tensor matrix(float *values, int64_t rows, int64_t columns) {
  const int64_t sizes[] = {rows, columns}, strides[] = {columns, 1};
  Tensor made;
  check(aoti_torch_create_tensor_from_blob(values, 2, sizes, strides, 0, aoti_torch_dtype_float32(),
                                           aoti_torch_device_type_cpu(), 0, &made), "tensor");
  return made;
}

int main(int argc, char **argv) {
  float weights[3 * 5 + 5 + 5 * 2 + 2], rows[4 * 3], hidden[4 * 5], outputs[4 * 2];
  FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
  if (file == NULL || fread(weights, sizeof weights, 1, file) != 1) return 2;
  for (int i = 0; i < 12; i++) rows[i] = (float)i / 8;

  Tensor within = matrix(hidden, 4, 5), out = matrix(outputs, 4, 2);
  check(aoti_torch_cpu_addmm_out(within, matrix(weights + 15, 1, 5), matrix(rows, 4, 3), matrix(weights, 3, 5), 1, 1),
        "the first layer");
  uint64_t stack[] = {(uint64_t)(uintptr_t)within};
  check(aoti_torch_call_dispatcher("aten::tanh", "", stack), "tanh");
  check(aoti_torch_cpu_addmm_out(out, matrix(weights + 30, 1, 2), (Tensor)(uintptr_t)stack[0],
                                 matrix(weights + 20, 5, 2), 1, 1), "the second layer");
  for (int i = 0; i < 8; i++) printf("%.9g\n", outputs[i]);
  return 0;
}
