#pragma once
// The toolkit's header, with every function of it exported from this library.

#pragma GCC visibility push(default)
#include <cuda_runtime_api.h>
#pragma GCC visibility pop
