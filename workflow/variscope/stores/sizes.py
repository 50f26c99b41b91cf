"""How large chunks are; imports no Zarr, so that the plan can ask for memory."""

# A chunk is about this many bytes, uncompressed: large enough to be few files, small enough that
# readers hold a few of them.
CHUNK_BYTES = 16 * 2**20
