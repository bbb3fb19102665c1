# Runs a server for as long as somebody holds the other end of our stdin.
# $1      a directory that is ours: log, socket, and `ended` once the server is gone
# $2 ...  the server and its arguments
# Nothing is ever written to us. A read ends when the process that started us is gone, however it ended: a pipe is
# closed by the kernel, also after SIGKILL.
dir=$1
shift
exec 3<&0
"$@" </dev/null 3<&- >>"$dir/log" 2>&1 &
server=$!
{
  while read -r _ <&3; do :; done
  # A server that has ended was waited for, and its number may be somebody else's now.
  [ -e "$dir/ended" ] || kill -9 "$server"
} &
watch=$!
wait "$server"
: >"$dir/ended"
wait "$watch"
rm -rf "$dir"
