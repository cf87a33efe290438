// Loads a SavedModel by TensorFlow's C++ API, and prints what it makes of four rows.
//
//   program FOLDER INPUT-OPERATION OUTPUT-OPERATION
#include <cstdio>
#include <iostream>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"

int main(int count, char** argv) {
  if (count != 4) return 2;
  tensorflow::SavedModelBundleLite model;
  const auto loaded = tensorflow::LoadSavedModel({}, {}, argv[1], {"serve"}, &model);
  if (!loaded.ok()) return std::cerr << "error: " << loaded << "\n", 1;

  tensorflow::Tensor rows(tensorflow::DT_FLOAT, {4, 3});
  for (int i = 0; i < 12; i++) rows.flat<float>()(i) = float(i) / 8;
  std::vector<tensorflow::Tensor> outputs;
  const auto ran = model.GetSession()->Run({{argv[2], rows}}, {argv[3]}, {}, &outputs);
  if (!ran.ok()) return std::cerr << "error: " << ran << "\n", 1;
  for (int64_t i = 0; i < outputs[0].NumElements(); i++) std::printf("%.9g\n", outputs[0].flat<float>()(i));
}
