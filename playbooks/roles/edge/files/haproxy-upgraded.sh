#!/bin/sh
# After dpkg, by apt: each HAProxy whose program was replaced hands over to the new one, listeners and all. A unit's
# reload checks first that the new one can read its settings.
for unit in haproxy.service till-database-proxy.service; do
    pid=$(systemctl show --property=MainPID --value "$unit" 2>/dev/null) || continue
    [ "${pid:-0}" -gt 0 ] || continue
    case "$(readlink "/proc/$pid/exe")" in
    *' (deleted)') systemctl reload "$unit" ;;
    esac
done
