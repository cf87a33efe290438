// A layer in C++, which JAX calls from a compiled function by XLA's foreign function interface: y = tanh(x w + b).
#include <cmath>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
using Matrix = ffi::Buffer<ffi::F32, 2>;
using Vector = ffi::Buffer<ffi::F32, 1>;

static ffi::Error dense(Matrix x, Matrix w, Vector b, ffi::Result<Matrix> y) {
  const auto rows = x.dimensions()[0], inner = x.dimensions()[1], columns = w.dimensions()[1];
  if (w.dimensions()[0] != inner) return ffi::Error::InvalidArgument("x and w do not fit");
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t column = 0; column < columns; column++) {
      double sum = b.typed_data()[column];
      for (int64_t i = 0; i < inner; i++) {
        sum += double(x.typed_data()[row * inner + i]) * w.typed_data()[i * columns + column];
      }
      y->typed_data()[row * columns + column] = float(std::tanh(sum));
    }
  }
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    compare_dense, dense, ffi::Ffi::Bind().Arg<Matrix>().Arg<Matrix>().Arg<Vector>().Ret<Matrix>());
