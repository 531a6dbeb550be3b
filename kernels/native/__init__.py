"""Machine code for the host's processor, written as LLVM's assembly language."""
