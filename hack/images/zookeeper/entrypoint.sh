#!/bin/sh
# Writes who this member is and who the others are, then becomes the server.
set -eu
[ $# -eq 0 ] || exec "$@"
: "${ZOO_SERVERS:?must be set}"
name=$(hostname)
echo "${name##*-}" >/data/myid
cat >/conf/zoo.cfg <<EOF
tickTime=2000
initLimit=30
syncLimit=15
cnxTimeout=10
dataDir=/data
clientPort=2181
admin.enableServer=false
4lw.commands.whitelist=srvr,ruok
$ZOO_SERVERS
EOF
exec java -Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "/conf:/usr/share/java/zookeeper.jar" \
  org.apache.zookeeper.server.quorum.QuorumPeerMain /conf/zoo.cfg
