// MPI's own all-reduce, timed as benchmark_collectives times ours: the same rows, rounds and lines.
//   mpirun -n 2 benchmark_mpi_all_reduce ROUNDS BYTES...
#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {

void time_all_reduce(int rank, int ranks, std::int64_t bytes, int rounds) {
  std::vector<float> row(static_cast<std::size_t>(bytes) / sizeof(float), 1.0f);
  std::vector<double> times;
  // The first ones touch memory for the first time.
  for (int round = -5; round < rounds; ++round) {
    if (round % 50 == 0) std::fill(row.begin(), row.end(), 1.0f);
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = MPI_Wtime();
    MPI_Allreduce(MPI_IN_PLACE, row.data(), static_cast<int>(row.size()), MPI_FLOAT, MPI_SUM,
                  MPI_COMM_WORLD);
    if (round >= 0) times.push_back((MPI_Wtime() - start) * 1e3);
  }
  if (rank != 0) return;
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  fmt::print(
      "{{\"name\": \"all_reduce\", \"ranks\": {}, \"bytes\": {}, \"rounds\": {}, \"median_ms\": "
      "{:.4f}, \"best_ms\": {:.4f}, \"gigabytes_per_second\": {:.3f}}}\n",
      ranks, bytes, rounds, median, times.front(), static_cast<double>(bytes) / 1e6 / median);
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  int ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 0;
  if (rounds < 1 || argc < 3) {
    fmt::print(stderr, "usage: mpirun -n RANKS benchmark_mpi_all_reduce ROUNDS BYTES...\n");
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  for (int i = 2; i < argc; ++i) time_all_reduce(rank, ranks, std::atoll(argv[i]), rounds);
  MPI_Finalize();
}
