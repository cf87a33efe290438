/* Trains a two-layer network on the handwritten digits through MXNet's C API alone; mxnet.py compiles and runs it.
 *
 *   digits cpu|gpu TRAIN-COUNT TEST-COUNT SEED TRAIN TEST FOUND
 *
 * TRAIN and TEST hold their images (64 floats each), then their labels (one float each). FOUND gets, as JSON, the
 * labels predicted for the test images, the loss of each step, and the seconds that a step took. */
#define _XOPEN_SOURCE 700

#include <math.h>
#include <mxnet/c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PIXELS = 64, HIDDEN = 64, CLASSES = 10, BATCH = 32, EPOCHS = 12, PARAMETERS = 4, CPU = 1, GPU = 2 };
enum { WRITE = 1 }; /* how a gradient is stored: OpReqType of include/mxnet/op_attr_types.h */

#define OK(call)                                                    \
  do {                                                              \
    if ((call) != 0) stop("%s: %s", #call, MXGetLastError());       \
  } while (0)

static int device = CPU;

static void stop(const char *format, const char *what, const char *why) {
  fprintf(stderr, format, what, why);
  fputc('\n', stderr);
  exit(1);
}

static void *allocated(size_t bytes) {
  void *memory = malloc(bytes);
  if (memory == NULL) stop("%s%s", "there is no memory left", "");
  return memory;
}

/* Arrays */

static NDArrayHandle array(uint32_t rows, uint32_t columns, const float *values) {
  NDArrayHandle made;
  uint32_t shape[] = {rows, columns};
  OK(MXNDArrayCreate(shape, columns ? 2 : 1, device, 0, 0, &made));
  OK(MXNDArraySyncCopyFromCPU(made, values, (size_t)rows * (columns ? columns : 1)));
  return made;
}

static NDArrayHandle filled(uint32_t rows, uint32_t columns, float largest) {
  size_t count = (size_t)rows * (columns ? columns : 1);
  float *values = allocated(count * sizeof(float));
  for (size_t i = 0; i < count; i++) values[i] = largest * (2.0f * (float)drand48() - 1.0f);
  NDArrayHandle made = array(rows, columns, values);
  free(values);
  return made;
}

/* Operators, by their names */

static AtomicSymbolCreator operator_of(const char *name) {
  uint32_t count;
  AtomicSymbolCreator *all;
  OK(MXSymbolListAtomicSymbolCreators(&count, &all));
  for (uint32_t i = 0; i < count; i++) {
    const char *one;
    OK(MXSymbolGetAtomicSymbolName(all[i], &one));
    if (strcmp(one, name) == 0) return all[i];
  }
  stop("%s: %s", name, "there is no such operator");
  return NULL;
}

/* The operator's result, in `into` if that is given; the options are name, value, ..., NULL. */
static NDArrayHandle apply(AtomicSymbolCreator operator, int inputs, NDArrayHandle *input, NDArrayHandle into,
                           const char **options) {
  const char *keys[8], *values[8];
  int count = 0;
  for (; options[2 * count] != NULL; count++) {
    keys[count] = options[2 * count];
    values[count] = options[2 * count + 1];
  }
  NDArrayHandle given[] = {into}, *output = into ? given : NULL;
  int outputs = into ? 1 : 0;
  OK(MXImperativeInvoke(operator, inputs, input, &outputs, &output, count, keys, values));
  return output[0];
}

/* The network: images to logits */

typedef struct {
  AtomicSymbolCreator dense, activation, cross_entropy, update, argmax;
  NDArrayHandle weights[PARAMETERS], gradients[PARAMETERS], momenta[PARAMETERS];
} Network;

static Network network_of(void) {
  Network net = {operator_of("FullyConnected"), operator_of("Activation"), operator_of("softmax_cross_entropy"),
                 operator_of("sgd_mom_update"), operator_of("argmax"), {NULL}, {NULL}, {NULL}};
  const uint32_t shapes[PARAMETERS][2] = {{HIDDEN, PIXELS}, {HIDDEN, 0}, {CLASSES, HIDDEN}, {CLASSES, 0}};
  uint32_t how[PARAMETERS];
  for (int i = 0; i < PARAMETERS; i++) {
    float largest = shapes[i][1] ? sqrtf(3.0f / (float)shapes[i][1]) : 0.0f;
    net.weights[i] = filled(shapes[i][0], shapes[i][1], largest);
    net.gradients[i] = filled(shapes[i][0], shapes[i][1], 0.0f);
    net.momenta[i] = filled(shapes[i][0], shapes[i][1], 0.0f);
    how[i] = WRITE;
  }
  OK(MXAutogradMarkVariables(PARAMETERS, net.weights, how, net.gradients));
  return net;
}

static NDArrayHandle logits(const Network *net, NDArrayHandle images) {
  NDArrayHandle first[] = {images, net->weights[0], net->weights[1]};
  NDArrayHandle hidden = apply(net->dense, 3, first, NULL, (const char *[]){"num_hidden", "64", NULL});
  NDArrayHandle active = apply(net->activation, 1, &hidden, NULL, (const char *[]){"act_type", "relu", NULL});
  NDArrayHandle second[] = {active, net->weights[2], net->weights[3]};
  NDArrayHandle out = apply(net->dense, 3, second, NULL, (const char *[]){"num_hidden", "10", NULL});
  OK(MXNDArrayFree(hidden));
  OK(MXNDArrayFree(active));
  return out;
}

/* One step of SGD; the mean loss of the batch before it. */
static float step(Network *net, NDArrayHandle images, NDArrayHandle labels) {
  const char *options[] = {"lr", "0.1", "momentum", "0.9", "rescale_grad", "0.03125", NULL};
  int before;
  float loss;
  OK(MXAutogradSetIsRecording(1, &before));
  NDArrayHandle pair[] = {logits(net, images), labels};
  NDArrayHandle total = apply(net->cross_entropy, 2, pair, NULL, (const char *[]){NULL});
  OK(MXAutogradSetIsRecording(0, &before));
  OK(MXAutogradBackward(1, &total, NULL, 0));
  for (int i = 0; i < PARAMETERS; i++) {
    NDArrayHandle inputs[] = {net->weights[i], net->gradients[i], net->momenta[i]};
    apply(net->update, 3, inputs, net->weights[i], options);
  }
  OK(MXNDArraySyncCopyToCPU(total, &loss, 1));
  OK(MXNDArrayFree(total));
  OK(MXNDArrayFree(pair[0]));
  return loss / BATCH;
}

/* Data */

static float *read_floats(const char *path, size_t count) {
  float *values = allocated(count * sizeof(float));
  FILE *file = fopen(path, "rb");
  if (file == NULL || fread(values, sizeof(float), count, file) != count) stop("%s: %s", path, "cannot be read");
  fclose(file);
  return values;
}

/* The next BATCH images and labels of the order, as arrays. */
static void batch(const float *data, int count, const int *order, NDArrayHandle *images, NDArrayHandle *labels) {
  float pixels[BATCH * PIXELS], label[BATCH];
  for (int i = 0; i < BATCH; i++) {
    memcpy(pixels + i * PIXELS, data + (size_t)order[i] * PIXELS, PIXELS * sizeof(float));
    label[i] = data[(size_t)count * PIXELS + order[i]];
  }
  *images = array(BATCH, PIXELS, pixels);
  *labels = array(BATCH, 0, label);
}

static void shuffle(int *order, int count) {
  for (int i = count - 1; i > 0; i--) {
    int other = (int)(drand48() * (i + 1)), kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 8) stop("%s%s", "seven arguments are needed", "");
  device = strcmp(argv[1], "gpu") == 0 ? GPU : CPU;
  int trains = atoi(argv[2]), tests = atoi(argv[3]), steps = 0;
  srand48(atol(argv[4]));
  float *train = read_floats(argv[5], (size_t)trains * (PIXELS + 1));
  float *test = read_floats(argv[6], (size_t)tests * PIXELS);
  FILE *found = fopen(argv[7], "w");
  if (found == NULL) stop("%s: %s", argv[7], "cannot be written");

  Network net = network_of();
  int *order = allocated((size_t)trains * sizeof(int));
  for (int i = 0; i < trains; i++) order[i] = i;
  double start = now();
  fputs("{\"losses\": [", found);
  for (int epoch = 0; epoch < EPOCHS; epoch++) {
    shuffle(order, trains);
    for (int at = 0; at + BATCH <= trains; at += BATCH, steps++) {
      NDArrayHandle images, labels;
      batch(train, trains, order + at, &images, &labels);
      fprintf(found, "%s%.9g", steps ? ", " : "", step(&net, images, labels));
      OK(MXNDArrayFree(images));
      OK(MXNDArrayFree(labels));
    }
  }
  fprintf(found, "], \"seconds_per_step\": %.9g, \"predictions\": [", (now() - start) / steps);

  NDArrayHandle images = array((uint32_t)tests, PIXELS, test), out = logits(&net, images);
  NDArrayHandle best = apply(net.argmax, 1, &out, NULL, (const char *[]){"axis", "1", NULL});
  float *predicted = allocated((size_t)tests * sizeof(float));
  OK(MXNDArraySyncCopyToCPU(best, predicted, (size_t)tests));
  for (int i = 0; i < tests; i++) fprintf(found, "%s%d", i ? ", " : "", (int)predicted[i]);
  fputs("]}\n", found);
  return fclose(found) == 0 ? 0 : 1;
}
