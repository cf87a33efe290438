/* Loads a network that Python exported, through MXNet's C API, and prints what it makes of four rows.
 *
 *   program SYMBOL.json WEIGHTS.params */
/* MXNet's header uses these, and does not include them. */
#include <stdbool.h>
#include <stdint.h>

#include <mxnet/c_predict_api.h>
#include <stdio.h>
#include <stdlib.h>

static void check(int code, const char *what) {
  if (code == 0) return;
  fprintf(stderr, "%s: %s\n", what, MXGetLastError());
  exit(1);
}

/* All of a file, with a zero behind it. */
static char *content(const char *path, long *size) {
  FILE *file = fopen(path, "rb");
  if (file == NULL || fseek(file, 0, SEEK_END) != 0) exit(2);
  *size = ftell(file);
  rewind(file);
  char *read = calloc((size_t)*size + 1, 1);
  if (read == NULL || fread(read, 1, (size_t)*size, file) != (size_t)*size) exit(2);
  fclose(file);
  return read;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  long symbol_size, size;
  char *symbol = content(argv[1], &symbol_size), *weights = content(argv[2], &size);
  const char *names[] = {"data"};
  const mx_uint places[] = {0, 2}, shape[] = {4, 3};
  PredictorHandle network;
  check(MXPredCreate(symbol, weights, (int)size, 1, 0, 1, names, places, shape, &network), "loading");
  float rows[12], outputs[8];
  for (int i = 0; i < 12; i++) rows[i] = (float)i / 8;
  check(MXPredSetInput(network, "data", rows, 12), "input");
  check(MXPredForward(network), "running");
  check(MXPredGetOutput(network, 0, outputs, 8), "output");
  for (int i = 0; i < 8; i++) printf("%.9g\n", outputs[i]);
  check(MXPredFree(network), "freeing");
  return 0;
}
