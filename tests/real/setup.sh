#!/bin/sh
# Install what `make test-real` speaks to, from Debian or Ubuntu packages: the real servers, the browser that the timeline is
# tested in, the compilers of the learners' stores and of faults of disks and clocks, and what network namespaces are joined with (`links: netns`).
# Stops what the packages start. As root.
set -e
export DEBIAN_FRONTEND=noninteractive
command -v apt-get >/dev/null || { echo "real-setup knows Debian and Ubuntu only; install redis, etcd and postgresql by hand" >&2; exit 1; }
apt-get update -q
apt-get install -q -y redis-server etcd-server postgresql || {
    # older and newer releases call it etcd
    apt-get install -q -y redis-server etcd postgresql
}
apt-get install -q -y memcached || echo "no package memcached here: its tests will skip" >&2
for service in redis-server etcd postgresql memcached; do
    service "$service" stop >/dev/null 2>&1 || true
done
for package in g++ golang-go default-jdk-headless nodejs rustc; do
    apt-get install -q -y --no-install-recommends "$package" ||
        echo "no package $package here: the stores in its language will skip" >&2
done
apt-get install -q -y gcc libc6-dev || echo "no C compiler here: faults of disks and clocks cannot be had" >&2
apt-get install -q -y iproute2 nftables
apt-get install -q -y chromium chromium-driver || echo "no package chromium here: the tests of the timeline will skip" >&2
