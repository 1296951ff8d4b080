// fi: fault injector with one counter over all threads and processes of a command.
// fi -s sys,sys -n N -a err:EIO | kill | killafter | short  [-P (from N on)] -p PREFIX -l LOG -- cmd...
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>
#include <signal.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <sys/user.h>
#include <sys/uio.h>
#include <sys/syscall.h>
#include <sys/prctl.h>
#include <linux/seccomp.h>
#include <linux/filter.h>
#include <linux/audit.h>
struct S{const char*n;int nr;int kind;}; // kind: 0 fd in rdi, 1 path in rdi, 2 dirfd rdi path rsi, 3 dirfd,path,dirfd,path, 4 path,path, 5 mmap fd in r8
static struct S T[]={{"fsync",SYS_fsync,0},{"fdatasync",SYS_fdatasync,0},{"write",SYS_write,0},{"writev",SYS_writev,0},{"pwrite64",SYS_pwrite64,0},{"read",SYS_read,0},{"pread64",SYS_pread64,0},
{"ftruncate",SYS_ftruncate,0},{"fallocate",SYS_fallocate,0},{"close",SYS_close,0},{"fchmod",SYS_fchmod,0},{"flock",SYS_flock,0},{"fcntl",SYS_fcntl,0},{"getdents64",SYS_getdents64,0},{"fstat",SYS_fstat,0},{"copy_file_range",SYS_copy_file_range,0},
{"rename",SYS_rename,4},{"renameat",SYS_renameat,3},{"renameat2",SYS_renameat2,3},{"link",SYS_link,4},{"linkat",SYS_linkat,3},{"symlink",SYS_symlink,4},
{"openat",SYS_openat,2},{"open",SYS_open,1},{"mkdir",SYS_mkdir,1},{"mkdirat",SYS_mkdirat,2},{"unlink",SYS_unlink,1},{"unlinkat",SYS_unlinkat,2},{"rmdir",SYS_rmdir,1},
{"utimensat",SYS_utimensat,2},{"statx",SYS_statx,2},{"newfstatat",SYS_newfstatat,2},{"stat",SYS_stat,1},{"lstat",SYS_lstat,1},{"access",SYS_access,1},{"chmod",SYS_chmod,1},{"mmap",SYS_mmap,5},{0,0,0}};
static struct S*find(long nr){for(struct S*s=T;s->n;s++)if(s->nr==nr)return s;return 0;}
static int want[512];
static void rdstr(pid_t p,unsigned long a,char*b,size_t n){struct iovec l={b,n-1},r={(void*)a,n-1};ssize_t g=process_vm_readv(p,&l,1,&r,1,0);
 if(g<0){size_t i=0;for(;i<n-1;i++){struct iovec l1={b+i,1},r1={(void*)(a+i),1};if(process_vm_readv(p,&l1,1,&r1,1,0)!=1)break;if(!b[i])break;}b[i]=0;return;}b[g]=0;}
static void fdpath(pid_t p,int fd,char*b,size_t n){char x[64];if(fd==AT_FDCWD){snprintf(x,64,"/proc/%d/cwd",p);}else snprintf(x,64,"/proc/%d/fd/%d",p,fd);ssize_t g=readlink(x,b,n-1);b[g<0?0:g]=0;}
static void at(pid_t p,int fd,unsigned long a,char*b,size_t n){char s[2048];rdstr(p,a,s,sizeof s);if(s[0]=='/'||!s[0]){ if(s[0]) snprintf(b,n,"%s",s); else fdpath(p,fd,b,n);return;}char d[2048];fdpath(p,fd,d,sizeof d);snprintf(b,n,"%s/%s",d,s);}
static pid_t tgid(pid_t t){char f[64],l[256];snprintf(f,64,"/proc/%d/status",t);FILE*h=fopen(f,"r");pid_t r=t;if(h){while(fgets(l,256,h))if(!strncmp(l,"Tgid:",5)){r=atoi(l+5);break;}fclose(h);}return r;}
static struct{const char*n;int e;}E[]={{"EIO",EIO},{"ENOSPC",ENOSPC},{"EDQUOT",EDQUOT},{"EROFS",EROFS},{"ENOMEM",ENOMEM},{"EACCES",EACCES},{"EMFILE",EMFILE},{"EINTR",EINTR},{"ENOENT",ENOENT},{"EEXIST",EEXIST},{"EXDEV",EXDEV},{"EAGAIN",EAGAIN},{"EMLINK",EMLINK},{0,0}};
int main(int c,char**v){long N=0;int mode=0,err=EIO,persist=0;const char*prefix="",*log=0;int o;
 while((o=getopt(c,v,"+s:n:a:Pp:l:"))!=-1)switch(o){
 case 's':{char*d=strdup(optarg);for(char*t=strtok(d,",");t;t=strtok(0,",")){int ok=0;for(struct S*s=T;s->n;s++)if(!strcmp(s->n,t)){want[s->nr]=1;ok=1;}if(!ok){fprintf(stderr,"unknown %s\n",t);return 99;}}}break;
 case 'n':N=atol(optarg);break;
 case 'a':if(!strncmp(optarg,"err:",4)){mode=1;for(int i=0;E[i].n;i++)if(!strcmp(E[i].n,optarg+4))err=E[i].e;}else if(!strcmp(optarg,"kill"))mode=2;else if(!strcmp(optarg,"killafter"))mode=3;else if(!strcmp(optarg,"short"))mode=4;else if(!strcmp(optarg,"skip")){mode=1;err=0;}break;
 case 'P':persist=1;break;case 'p':prefix=optarg;break;case 'l':log=optarg;break;default:return 99;}
 FILE*L=log?fopen(log,"w"):stderr;
 pid_t ch=fork();
 if(!ch){ptrace(PTRACE_TRACEME,0,0,0);raise(SIGSTOP);
  struct sock_filter f[600];int n=0;f[n++]=(struct sock_filter)BPF_STMT(BPF_LD|BPF_W|BPF_ABS,offsetof(struct seccomp_data,nr));
  for(int i=0;i<512;i++)if(want[i]){f[n++]=(struct sock_filter)BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K,i,0,1);f[n++]=(struct sock_filter)BPF_STMT(BPF_RET|BPF_K,SECCOMP_RET_TRACE);}
  f[n++]=(struct sock_filter)BPF_STMT(BPF_RET|BPF_K,SECCOMP_RET_ALLOW);
  struct sock_fprog pr={n,f};prctl(PR_SET_NO_NEW_PRIVS,1,0,0,0);if(prctl(PR_SET_SECCOMP,SECCOMP_MODE_FILTER,&pr)){perror("seccomp");_exit(98);}
  execvp(v[optind],v+optind);perror("exec");_exit(98);}
 signal(SIGTERM,SIG_IGN); // it is for the command
 int st;waitpid(ch,&st,0);
 ptrace(PTRACE_SETOPTIONS,ch,0,PTRACE_O_TRACESECCOMP|PTRACE_O_TRACECLONE|PTRACE_O_TRACEFORK|PTRACE_O_TRACEVFORK|PTRACE_O_TRACESYSGOOD|PTRACE_O_EXITKILL|PTRACE_O_TRACEEXEC);
 ptrace(PTRACE_CONT,ch,0,0);
 long cnt=0;int rc=97;size_t pl=strlen(prefix);
 for(;;){pid_t p=waitpid(-1,&st,__WALL);if(p<0)break;
  if(WIFEXITED(st)||WIFSIGNALED(st)){if(p==ch)rc=WIFEXITED(st)?WEXITSTATUS(st):128+WTERMSIG(st);continue;}
  int sig=WSTOPSIG(st),ev=st>>16;
  if(ev==PTRACE_EVENT_SECCOMP){struct user_regs_struct r;if(ptrace(PTRACE_GETREGS,p,0,&r)){ptrace(PTRACE_CONT,p,0,0);continue;}
   struct S*s=find(r.orig_rax);char a[4096]="",b[4096]="";
   if(s)switch(s->kind){case 0:fdpath(p,r.rdi,a,sizeof a);break;case 5:if((int)r.r8>=0)fdpath(p,r.r8,a,sizeof a);break;case 1:at(p,AT_FDCWD,r.rdi,a,sizeof a);break;case 2:at(p,(int)r.rdi,r.rsi,a,sizeof a);break;
    case 3:at(p,(int)r.rdi,r.rsi,a,sizeof a);at(p,(int)r.rdx,r.r10,b,sizeof b);break;case 4:at(p,AT_FDCWD,r.rdi,a,sizeof a);at(p,AT_FDCWD,r.rsi,b,sizeof b);break;}
   if(s&&!strncmp(a,prefix,pl)&&a[0]){cnt++;int hit=N&&(cnt==N||(persist&&cnt>N));
    if(hit||!N)fprintf(L,"%ld %s %s %s\n",cnt,s->n,a,b),fflush(L);
    if(hit){if(mode==1){r.orig_rax=-1;r.rax=-err;ptrace(PTRACE_SETREGS,p,0,&r);}
     else if(mode==2){kill(tgid(p),SIGKILL);ptrace(PTRACE_CONT,p,0,0);continue;}
     else if(mode==3){ptrace(PTRACE_SYSCALL,p,0,0);continue;}
     else if(mode==4){if(r.rdx>1)r.rdx/=2;ptrace(PTRACE_SETREGS,p,0,&r);}}
   }
   ptrace(PTRACE_CONT,p,0,0);continue;}
  if(sig==(SIGTRAP|0x80)){ // exit of the one we wanted (entry stop comes first when PTRACE_SYSCALL from seccomp stop? on >=4.8 only exit)
   kill(tgid(p),SIGKILL);ptrace(PTRACE_CONT,p,0,0);continue;}
  if(ev){ptrace(PTRACE_CONT,p,0,0);continue;}
  if(sig==SIGSTOP){ptrace(PTRACE_CONT,p,0,0);continue;}
  ptrace(PTRACE_CONT,p,0,sig==SIGTRAP?0:sig);}
 fprintf(L,"count %ld rc %d\n",cnt,rc);fflush(L);return rc;}
