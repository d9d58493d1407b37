#!/bin/sh
# Makes the data folder on first start, then becomes the server. More arguments go to mariadbd.
set -eu
: "${MARIADB_ROOT_PASSWORD:?must be set}"
data=/var/lib/mysql
first=/tmp/first-start.sql

# Single quotes and backslashes are the two characters that could end a string literal early.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e "s/'/''/g")"; }
named() { printf '`%s`' "$(printf '%s' "$1" | sed 's/`/``/g')"; }

umask 077
if [ ! -d "$data/mysql" ]; then
  mariadb-install-db --datadir="$data" --skip-test-db --auth-root-authentication-method=normal >/dev/null
fi
{
  echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $(quoted "$MARIADB_ROOT_PASSWORD");"
  echo "CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY $(quoted "$MARIADB_ROOT_PASSWORD");"
  echo "GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;"
  if [ -n "${MARIADB_DATABASE:-}" ]; then
    echo "CREATE DATABASE IF NOT EXISTS $(named "$MARIADB_DATABASE");"
    if [ -n "${MARIADB_USER:-}" ]; then
      echo "CREATE USER IF NOT EXISTS $(quoted "$MARIADB_USER")@'%' IDENTIFIED BY $(quoted "${MARIADB_PASSWORD:-}");"
      echo "GRANT ALL PRIVILEGES ON $(named "$MARIADB_DATABASE").* TO $(quoted "$MARIADB_USER")@'%';"
    fi
  fi
} >"$first"
exec mariadbd --datadir="$data" --init-file="$first" --bind-address='*' --port=3306 --skip-name-resolve \
  --innodb-buffer-pool-size=32M --performance-schema=off "$@"
