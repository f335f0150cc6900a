"""What all tests need, whichever of them share a process."""

# submitit configures logging when it is imported, and that closes every handler there is. absl, which rliable imports, has one
# that writes to what standard error was when absl was imported: in a test, the file in which pytest captures. Imported first,
# submitit finds no handler to close.
import submitit.core.logger  # noqa: F401
