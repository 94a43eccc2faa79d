// The step path's test, compiled for the host by nvcc: the cells' equations as that compiler reads them.
#include "step_layers_test.cpp"
