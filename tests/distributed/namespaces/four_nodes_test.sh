#!/usr/bin/env bash
# four_nodes_test.sh BUILD: collectives over MPI and TCP on four nodes of a network of the test's own,
# one of which is lost, and on the three that are left.
set -euo pipefail

build=$1
here=$(cd "$(dirname "$0")" && pwd)
if [[ -z ${OVID_NODES:-} ]]; then exec "$here/with_nodes.sh" 4 "$0" "$build"; fi

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

ranks=$build/tests/distributed/collective_ranks
on_nodes() { # on_nodes HOSTS MODE
  mpirun --host "$1" -x OVID_MPI_MODULE="$build/libovid_mpi.so" "$ranks" world "$2"
}

right=$(on_nodes node1:1,node2:1,node3:1,node4:1 check | grep -c 'all collectives are right' || true)
[[ $right == 4 ]] || fail "of four nodes $right have the right sums"

on_nodes node1:1,node2:1,node3:1,node4:1 loop >"$OVID_NODES/log" 2>&1 &
job=$!
for ((i = 0; i < 100; ++i)); do # all four are in the loop
  if [[ $(pgrep -c collective_rank || true) -ge 4 ]]; then break; fi
  sleep 0.1
done
sleep 1
begin=$(date +%s%N)
"$OVID_NODES/crash" node3
status=0
wait "$job" || status=$?
milliseconds=$((($(date +%s%N) - begin) / 1000000))
[[ $status != 0 ]] || fail "a run that lost a node ended with 0"
((milliseconds < 30000)) || fail "the job ended $milliseconds ms after its node was lost"
for ((i = 0; i < 50; ++i)); do
  if ! pgrep -r R,S,D collective_rank >/dev/null; then break; fi
  sleep 0.1
done
if pgrep -r R,S,D collective_rank >/dev/null; then fail "ranks of the dead job are still there"; fi
echo "lost a node: the job ended after $milliseconds ms with exit code $status"

right=$(on_nodes node1:1,node2:1,node4:1 check | grep -c 'all collectives are right' || true)
[[ $right == 3 ]] || fail "of the three nodes that are left $right have the right sums"
echo "three nodes went on"
