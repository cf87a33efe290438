// Loads a network that Python exported, through MXNet's C API, and prints what it makes of four rows.
//
//   program SYMBOL.json WEIGHTS.params
#include <cstdint>  // the next header uses it, and does not include it

#include <mxnet/c_predict_api.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

static void check(int code) {
  if (code != 0) throw std::runtime_error(MXGetLastError());
}

static std::string content(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int main(int count, char** argv) {
  if (count != 3) return 2;
  const std::string symbol = content(argv[1]), weights = content(argv[2]);
  const char* names[] = {"data"};
  const mx_uint places[] = {0, 2}, shape[] = {4, 3};
  PredictorHandle network;
  check(MXPredCreate(symbol.c_str(), weights.data(), int(weights.size()), 1, 0, 1, names, places, shape, &network));
  std::vector<float> rows(12), outputs(8);
  for (int i = 0; i < 12; i++) rows[i] = float(i) / 8;
  check(MXPredSetInput(network, "data", rows.data(), 12));
  check(MXPredForward(network));
  check(MXPredGetOutput(network, 0, outputs.data(), 8));
  for (float one : outputs) std::printf("%.9g\n", one);
  check(MXPredFree(network));
}
