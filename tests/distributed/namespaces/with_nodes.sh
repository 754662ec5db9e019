#!/usr/bin/env bash
# with_nodes.sh COUNT COMMAND...: runs COMMAND in a network of its own with COUNT nodes, each with a
# network, a name (node1, node2, ...), processes and an address (10.77.0.1, ...) of its own, joined
# by a bridge. Nothing of it reaches the machine's network, and all of it is gone at the end.
#
# COMMAND sees in the environment:
#   OVID_NODES   a folder: rsh, an agent for mpirun (`rsh NODE COMMAND...`); crash, which ends a node
#                (`crash NODE`): its network at once, then all of its processes
#   OMPI_MCA_*   what makes mpirun use that agent, and TCP alone
# Ends with 77 where such namespaces are not permitted.
set -euo pipefail

if [[ -z ${OVID_NODES_INSIDE:-} ]]; then
  own=(--net --uts --ipc --mount --pid --fork --kill-child --mount-proc)
  if [[ $EUID -ne 0 ]]; then own+=(--user --map-root-user); fi
  for tool in unshare nsenter ip mpirun; do
    command -v "$tool" >/dev/null || { echo "SKIPPED: there is no $tool here" >&2; exit 77; }
  done
  # shellcheck disable=SC2016 # for the shell inside
  if ! unshare "${own[@]}" sh -c 'ip link add probe type veth peer name eborp' 2>/dev/null; then
    echo "SKIPPED: network namespaces are not permitted here" >&2
    exit 77
  fi
  OVID_NODES_INSIDE=1 exec unshare "${own[@]}" "$0" "$@"
fi

count=$1
shift
OVID_NODES=$(mktemp -d)
export OVID_NODES
trap 'rm -rf "$OVID_NODES"' EXIT

hostname head
ip link set lo up
ip link add lan type bridge
ip address add 10.77.0.254/24 dev lan
ip link set lan up
{
  echo "127.0.0.1 localhost"
  echo "10.77.0.254 head"
  for ((i = 1; i <= count; ++i)); do echo "10.77.0.$i node$i"; done
} >"$OVID_NODES/hosts"
mount --bind "$OVID_NODES/hosts" /etc/hosts

for ((i = 1; i <= count; ++i)); do
  # The first process of a node does nothing; with its end the node is gone. Unshare's child is it.
  unshare --net --uts --ipc --mount --pid --fork --kill-child --mount-proc sleep infinity &
  until node=$(pgrep -P $! sleep); do sleep 0.01; done
  echo "$node" >"$OVID_NODES/node$i"
  ip link add "node$i" type veth peer name eth0 netns "$node"
  ip link set "node$i" master lan up
  nsenter -t "$node" -n -u -- sh -c "hostname node$i
    ip link set lo up; ip address add 10.77.0.$i/24 dev eth0; ip link set eth0 up"
done

cat >"$OVID_NODES/rsh" <<'EOF'
#!/bin/sh
node=$(cat "$OVID_NODES/$1") && shift && exec nsenter -t "$node" -n -u -i -m -p -- sh -c "$*"
EOF
cat >"$OVID_NODES/crash" <<'EOF'
#!/bin/sh
ip link set "$1" down && kill -9 "$(cat "$OVID_NODES/$1")"
EOF
chmod +x "$OVID_NODES/rsh" "$OVID_NODES/crash"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_plm_rsh_agent="$OVID_NODES/rsh" OMPI_MCA_btl=tcp,self OMPI_MCA_pml=ob1
export OMPI_MCA_btl_tcp_if_include=10.77.0.0/24 OMPI_MCA_oob_tcp_if_include=10.77.0.0/24
# A node without power says nothing: ask after two silent seconds.
export OMPI_MCA_oob_tcp_keepalive_time=2 OMPI_MCA_oob_tcp_keepalive_intvl=1 OMPI_MCA_oob_tcp_keepalive_probes=2
"$@"
