"""Copies files into a bucket as another program would, with boto3; AWS_* variables say where.

put.py BUCKET [FILE KEY]...
"""

import sys

import boto3

bucket, *pairs = sys.argv[1:]
s3 = boto3.client("s3")
for file, key in zip(pairs[::2], pairs[1::2]):
    s3.upload_file(file, bucket, key)
