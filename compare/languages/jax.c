/* A layer in C, which JAX calls from a compiled function by XLA's foreign function interface: y = tanh(x w + b). */
#include <math.h>
#include <stddef.h>

#include "xla/ffi/api/c_api.h"

/* XLA asks each handler for its version before it calls it. */
static int told_version(XLA_FFI_CallFrame *frame) {
  XLA_FFI_Extension_Base *first = frame->extension_start;
  if (first == NULL || first->type != XLA_FFI_Extension_Metadata) return 0;
  XLA_FFI_Metadata *metadata = ((XLA_FFI_Metadata_Extension *)first)->metadata;
  metadata->api_version.major_version = XLA_FFI_API_MAJOR;
  metadata->api_version.minor_version = XLA_FFI_API_MINOR;
  return 1;
}

XLA_FFI_Error *compare_dense(XLA_FFI_CallFrame *frame) {
  if (told_version(frame)) return NULL;
  const XLA_FFI_Buffer *x = frame->args.args[0], *w = frame->args.args[1], *b = frame->args.args[2];
  const XLA_FFI_Buffer *y = frame->rets.rets[0];
  const float *xs = x->data, *ws = w->data, *bs = b->data;
  const int64_t rows = x->dims[0], inner = x->dims[1], columns = w->dims[1];
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t column = 0; column < columns; column++) {
      double sum = bs[column];
      for (int64_t i = 0; i < inner; i++) sum += (double)xs[row * inner + i] * ws[i * columns + column];
      ((float *)y->data)[row * columns + column] = (float)tanh(sum);
    }
  }
  return NULL;
}
