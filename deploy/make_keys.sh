#!/bin/sh
# Random keys for the containers, beside this file: .env (the clients' keys, the database's password; mode 600) and
# metrics.key, which Prometheus reads. What is there already stays.
set -eu
cd "$(dirname "$0")"
[ -e .env ] && { echo "$PWD/.env is there already; delete it for new keys" >&2; exit 1; }
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
client=$(random) metrics=$(random)
printf %s "$metrics" > metrics.key
(umask 077; printf 'TAXON_API_KEYS=client:%s,prometheus@metrics:%s\nPOSTGRES_PASSWORD=%s\n' "$client" "$metrics" "$(random)" > .env)
echo "Your API key: $client"
