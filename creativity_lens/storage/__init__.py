"""Where runs are kept: a local folder, or a place that a URL names (`s3://`, `gs://`, any scheme that fsspec knows).

It guarantees that a file is written whole or not at all (in a folder by a rename, in an object store by one PUT), that
nothing is listed from memory, since another worker writes there too, and that whatever is wrong with a place is one
`InputError` of one line. fsspec and the packages of the stores are imported when a URL is opened, not before.
"""

from creativity_lens.storage.copies import fetch, local_copy, publish
from creativity_lens.storage.folder import Folder
from creativity_lens.storage.places import Storage, is_url
from creativity_lens.storage.remote import Remote, open_storage

__all__ = ["Folder", "Remote", "Storage", "fetch", "is_url", "local_copy", "open_storage", "publish"]
