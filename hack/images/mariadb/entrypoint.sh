#!/bin/sh
# Makes the data folder on first start, then becomes the server. More arguments go to mariadbd.
set -eu
: "${MARIADB_ROOT_PASSWORD:?must be set}"
data=/var/lib/mysql
first=/tmp/first-start.sql

# Single quotes and backslashes are the two characters that could end a string literal early.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e "s/'/''/g")"; }
# Not echo, which would read the backslashes of a password.
say() { printf '%s\n' "$1"; }
named() { printf '`%s`' "$(printf '%s' "$1" | sed 's/`/``/g')"; }

umask 077
if [ ! -d "$data/mysql" ]; then
  mariadb-install-db --datadir="$data" --skip-test-db --auth-root-authentication-method=normal >/dev/null
fi
{
  # A fresh data folder also holds root accounts without a password for 127.0.0.1, ::1 and the host's name.
  say "DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host NOT IN ('localhost', '%'));"
  say "FLUSH PRIVILEGES;"
  say "ALTER USER 'root'@'localhost' IDENTIFIED BY $(quoted "$MARIADB_ROOT_PASSWORD");"
  say "CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY $(quoted "$MARIADB_ROOT_PASSWORD");"
  say "GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;"
  if [ -n "${MARIADB_DATABASE:-}" ]; then
    say "CREATE DATABASE IF NOT EXISTS $(named "$MARIADB_DATABASE");"
    if [ -n "${MARIADB_USER:-}" ]; then
      say "CREATE USER IF NOT EXISTS $(quoted "$MARIADB_USER")@'%' IDENTIFIED BY $(quoted "${MARIADB_PASSWORD:-}");"
      say "GRANT ALL PRIVILEGES ON $(named "$MARIADB_DATABASE").* TO $(quoted "$MARIADB_USER")@'%';"
    fi
  fi
} >"$first"
exec mariadbd --datadir="$data" --init-file="$first" --bind-address='*' --port=3306 --skip-name-resolve \
  --innodb-buffer-pool-size=32M --performance-schema=off "$@"
