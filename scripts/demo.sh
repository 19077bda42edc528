#!/bin/sh
# Makes a video (or takes $1), turns it into mp4 and flv, and shows what was made.
set -eu
millrace=target/release/millrace
mkdir -p demo
video=${1:-}
if [ -z "$video" ]; then
    video=demo/holiday.mov
    echo "demo: making a video of 40 s, $video"
    ffmpeg -v error -y -f lavfi -i "testsrc2=size=1280x720:rate=30,noise=alls=3:allf=t" \
        -f lavfi -i "aevalsrc=0.2*sin(2*PI*(220+20*t)*t):sample_rate=48000" -t 40 \
        -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 60 -c:a aac -b:a 128k "$video"
fi
echo "demo: millrace run $video --output demo/out -f mp4 -f flv --segment-time 5 --data demo/data"
"$millrace" run "$video" --output demo/out -f mp4 -f flv --segment-time 5 --data demo/data
echo
echo "demo: what was made:"
stem=$(basename "$video"); stem=${stem%.*}
for format in mp4 flv; do
    "$millrace" probe "demo/out/$stem.$format"
done
echo
echo "demo: what happened (millrace executions events ID):"
id=$("$millrace" executions list --data demo/data | sed -n '2s/ .*//p')
"$millrace" executions events "$id" --data demo/data
