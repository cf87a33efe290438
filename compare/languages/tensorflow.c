/* Loads a SavedModel through TensorFlow's C API, and prints what it makes of four rows.
 *
 *   program FOLDER INPUT-OPERATION OUTPUT-OPERATION */
#include <stdio.h>
#include <stdlib.h>
#include <tensorflow/c/c_api.h>

static TF_Status *status;

static void check(const char *what) {
  if (TF_GetCode(status) == TF_OK) return;
  fprintf(stderr, "%s: %s\n", what, TF_Message(status));
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  const char *tags[] = {"serve"};
  TF_Session *session =
      TF_LoadSessionFromSavedModel(TF_NewSessionOptions(), NULL, argv[1], tags, 1, graph, NULL, status);
  check("loading");

  const int64_t shape[] = {4, 3};
  TF_Tensor *rows = TF_AllocateTensor(TF_FLOAT, shape, 2, 12 * sizeof(float)), *made = NULL;
  for (int i = 0; i < 12; i++) ((float *)TF_TensorData(rows))[i] = (float)i / 8;
  TF_Output input = {TF_GraphOperationByName(graph, argv[2]), 0};
  TF_Output output = {TF_GraphOperationByName(graph, argv[3]), 0};
  if (input.oper == NULL || output.oper == NULL) return 3;
  TF_SessionRun(session, NULL, &input, &rows, 1, &output, &made, 1, NULL, 0, NULL, status);
  check("running");
  for (int64_t i = 0; i < TF_TensorElementCount(made); i++) printf("%.9g\n", ((float *)TF_TensorData(made))[i]);
  return 0;
}
