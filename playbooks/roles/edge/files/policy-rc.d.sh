#!/bin/sh
# Managed by Till: what packages may do to services when they are installed (Debian, invoke-rc.d). All but one thing:
# HAProxy's would restart it, and refuse customers meanwhile; haproxy-upgraded reloads it instead.
case "$1 $2" in
'haproxy restart' | 'haproxy.service restart' | 'haproxy try-restart' | 'haproxy.service try-restart') exit 101 ;;
esac
exit 0
