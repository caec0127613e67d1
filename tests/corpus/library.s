# The source of library/whole and library/another_boundary: the smallest file that passes for a module. Who feeds it
# to the checks puts this host's own facts in the place of ABI#, SERVICES, RUSTC and TARGET (tests/src/fuzz.rs).
#
#   as library.s -o library.o
#   ld -shared -s --build-id=sha1 -z noseparate-code -z norelro -z max-page-size=4096 --hash-style=gnu library.o -o library/whole
#   sed 's/ABI#/ABI\x00/' library/whole > library/another_boundary

    .section hotswap_root, "aw"
    .balign 8
    .globl HOTSWAP_ROOT
    .type HOTSWAP_ROOT, @object
HOTSWAP_ROOT:
    .ascii "HOTSROOT"           # magic
    .long 344                   # size
    .ascii "ABI#"               # boundary
    .long 1                     # panics unwind
    .long 1                     # debug assertions
    .ascii "SERVICES"           # hash over the services
1:  .ascii "RUSTC"
    .fill 96 - (. - 1b)
2:  .ascii "TARGET"
    .fill 96 - (. - 2b)
3:  .ascii "tiny"
    .fill 96 - (. - 3b)
    .quad 0, 0, 0               # start, stop, needs
    .size HOTSWAP_ROOT, . - HOTSWAP_ROOT

    .macro record kind, name, signature, owner
4:  .ascii "HOTSWAP\001"
    .long 8f - 4b               # total
    .long \kind
    .long 6f - 5f
    .long 7f - 6f
    .long 9f - 7f
    .long 0
    .quad 0x1122334455667788    # hash
    .quad 0, 0                  # shim, signature
5:  .ascii "\name"
6:  .ascii "\signature"
7:  .ascii "\owner"
9:  .balign 8
8:
    .endm

    .section hotswap_exports, "aw"
    .balign 8
    record 1, "add", "(u64#8/8,Point{x@0:u64#8/8}#8/8)->u64#8/8", "tiny"
    record 2, "now", "", "tiny::clock"
    record 3, "check", "()->()#0/1", "tiny"
