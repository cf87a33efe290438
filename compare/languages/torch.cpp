// Loads a network that Python saved as TorchScript, and prints what it makes of four rows.
#include <torch/script.h>

#include <cstdio>

int main(int, char** argv) {
  torch::NoGradGuard no_gradients;
  torch::jit::Module network = torch::jit::load(argv[1]);
  const torch::Tensor inputs = torch::arange(12, torch::kFloat32).reshape({4, 3}) / 8;
  const torch::Tensor outputs = network.forward({inputs}).toTensor().contiguous();
  for (int64_t i = 0; i < outputs.numel(); i++) std::printf("%.9g\n", outputs.data_ptr<float>()[i]);
}
