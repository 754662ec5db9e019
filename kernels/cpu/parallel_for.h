#pragma once

#include <cstdint>
#include <functional>

namespace ovid::kernels::cpu {

// Calls body(begin, end) for consecutive pieces that together cover [0, count), on up to `threads`
// threads, and returns when all are done. Pieces are `grain` long (the last may be shorter)
// whatever the number of threads. Each thread begins with a contiguous run of them and helps the
// others when it is done; so what a piece computes must not depend on which thread runs it, and
// sums across pieces belong into an array with one slot per piece, added in order afterwards. The
// first exception of a piece is rethrown here. Not to be nested: a call from within a piece runs on
// that thread alone.
//
// The only place that makes threads for computation (thread_pool.h). Libraries called from a piece
// must use one thread.
void parallel_for(int threads, std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& body);

// The cores that this process may use: affinity and cgroup quota, at least 1.
int available_threads();

}  // namespace ovid::kernels::cpu
