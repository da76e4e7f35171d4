"""The database that is restored: files/payments.sql inside the container, made, changed and counted."""

from __future__ import annotations

from pathlib import Path

from benchmarks.container import WORK, Container
from benchmarks.settings import role

BIN = "/usr/lib/postgresql/15/bin"
SOURCE = f"{WORK}/source"
SOCKET = f"{WORK}/run"
SQL = Path(__file__).resolve().parent / "files" / "payments.sql"
LOADERS = 2
# Nothing of the source is worth keeping while it is made, and its WAL is no part of what is restored.
LOADING = "-c wal_recycle=off -c fsync=off -c full_page_writes=off -c max_wal_size=2GB -c maintenance_work_mem=128MB"
START_TIMEOUT_S = 300
QUERY_TIMEOUT_S = 1800

INITDB = """
mkdir -p -m 0700 "$1" && mkdir -p "$2" && chown postgres:postgres "$1" "$2"
setpriv --reuid=postgres --regid=postgres --init-groups -- BIN/initdb --pgdata="$1" --encoding=UTF8 --locale=C.UTF-8 \\
    --data-checksums --wal-segsize="$3" --auth-local=trust --auth-host=reject >/dev/null
printf '%s\\n' "listen_addresses = ''" "unix_socket_directories = '$2'" "shared_buffers = $4MB" 'autovacuum = off' \\
    >>"$1/postgresql.conf"
""".replace("BIN", BIN)
PSQL = f"psql -XAtq -v ON_ERROR_STOP=1 -h {SOCKET} -U postgres"


def make(container: Container, size_bytes: int) -> int:
    """Make the source with a table of `size_bytes`, indexes besides, and stop it; returns its rows."""
    policy = role("postgres")
    sizes = (str(policy["postgres_wal_segment_mb"]), str(policy["postgres_shared_buffers_mb"]))
    container.shell(INITDB, SOURCE, SOCKET, *sizes, timeout_s=START_TIMEOUT_S)
    start(container, SOURCE, LOADING)
    query(container, SQL.read_text())
    loaders = range(LOADERS)
    script = [f'{PSQL} -c "CALL load_payments($1)" & loader_{number}=$!' for number in loaders]
    script += [f'wait "$loader_{number}"' for number in loaders]
    container.shell("\n".join(script), str(size_bytes), timeout_s=QUERY_TIMEOUT_S)
    # No later reader may change a page for its hints.
    query(container, "VACUUM (FREEZE, ANALYZE);\nCHECKPOINT;")
    found = count(container)
    stop(container, SOURCE)
    return found


def change(container: Container, data_dir: str, place: str, ratio: float) -> None:
    """Change about `ratio` of a stopped copy's pages, `random` or `recent` ones, and stop it again."""
    start(container, data_dir)
    query(container, f"CALL change_pages('{place}', {ratio}); CHECKPOINT;")
    stop(container, data_dir)


def rows(container: Container, data_dir: str) -> int:
    """Start a restored copy, count its rows, stop it."""
    start(container, data_dir)
    found = count(container)
    stop(container, data_dir)
    return found


def count(container: Container) -> int:
    return int(query(container, "SELECT count(*) FROM payments"))


def start(container: Container, data_dir: str, options: str = "") -> None:
    """Start PostgreSQL on a data directory; the one before it must be stopped."""
    _control(container, "start", data_dir, f'-o "{options}"')


def stop(container: Container, data_dir: str) -> None:
    _control(container, "stop", data_dir, "-m fast")


def query(container: Container, text: str) -> str:
    """Run SQL; what its statements return."""
    return container.shell(f"{PSQL} -f - <<'SQL'\n{text}\nSQL", timeout_s=QUERY_TIMEOUT_S)


def _control(container: Container, verb: str, data_dir: str, options: str) -> None:
    container.shell(
        f"setpriv --reuid=postgres --regid=postgres --init-groups -- {BIN}/pg_ctl {verb} -D {data_dir} -s -w"
        f" -t {START_TIMEOUT_S} -l {SOCKET}/postgres.log {options} >/dev/null",
        timeout_s=START_TIMEOUT_S + 30,
    )
