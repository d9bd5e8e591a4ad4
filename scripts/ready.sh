#!/bin/bash
# ready PORT: whether the server in this container says that it is ready. For health checks: there is
# no curl in the images, and bash can open a connection by itself.
set -eu

exec 3<>"/dev/tcp/127.0.0.1/$1"
printf 'GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
read -r _ status _ <&3
[ "$status" = 200 ]
