"""A store in a bucket of any S3 server; docs/store-s3.md describes its objects."""
