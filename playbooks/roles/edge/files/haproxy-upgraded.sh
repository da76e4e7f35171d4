#!/bin/sh
# After dpkg, by apt: a HAProxy whose program was replaced hands over to the new one, listeners and all. The unit's
# reload checks first that the new one can read its settings.
pid=$(systemctl show --property=MainPID --value haproxy.service 2>/dev/null) || exit 0
[ "${pid:-0}" -gt 0 ] || exit 0
case "$(readlink "/proc/$pid/exe")" in
*' (deleted)') systemctl reload haproxy.service ;;
esac
