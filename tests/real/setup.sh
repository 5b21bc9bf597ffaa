#!/bin/sh
# Install the real servers that tests/real speaks to, from Debian or Ubuntu packages, and stop what the packages start. As root.
set -e
export DEBIAN_FRONTEND=noninteractive
command -v apt-get >/dev/null || { echo "real-setup knows Debian and Ubuntu only; install redis, etcd and postgresql by hand" >&2; exit 1; }
apt-get update -q
apt-get install -q -y redis-server etcd-server postgresql || {
    # older and newer releases call it etcd
    apt-get install -q -y redis-server etcd postgresql
}
for service in redis-server etcd postgresql; do
    service "$service" stop >/dev/null 2>&1 || true
done
