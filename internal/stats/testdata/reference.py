"""Makes reference.json: statistics of random samples in 60-digit arithmetic.

Needs mpmath. Run as: python3 reference.py > reference.json
Probabilities come from mpmath's regularized incomplete beta function and
quantiles from bisection on it; nothing is shared with the Go code under test.
"""
import json
import random
import sys

import mpmath as mp

mp.mp.dps=60
random.seed(20260101)
def twosided(t,df):
    t=mp.mpf(t);df=mp.mpf(df)
    x=df/(df+t*t)
    return mp.betainc(df/2,mp.mpf(1)/2,0,x,regularized=True)
def quant(p,df):
    # upper quantile with two-sided tail = 2(1-p)
    p=mp.mpf(p); tail=2*(1-p)
    f=lambda t: mp.log(twosided(t,df))-mp.log(tail)
    lo,hi=mp.mpf(0),mp.mpf(1)
    while f(hi)>0: hi*=2
    for _ in range(220):
        m=(lo+hi)/2
        if f(m)>0: lo=m
        else: hi=m
    return (lo+hi)/2
out=[]
for i in range(200):
    na=random.randint(2,35); nb=random.randint(2,35)
    scale=10**random.uniform(-3,4)
    cv=10**random.uniform(-3,-0.5)
    a=[float('%.6g' % random.gauss(scale,cv*scale)) for _ in range(na)]
    shift=1+random.choice([0,1e-3,1e-2,.1,.5,1.,3.])*random.choice([1,-.3])
    b=[float('%.6g' % random.gauss(scale*shift,cv*scale*10**random.uniform(-1,1))) for _ in range(nb)]
    A=[mp.mpf(x) for x in a]; B=[mp.mpf(x) for x in b]
    ma=sum(A)/na; mb=sum(B)/nb
    va=sum((x-ma)**2 for x in A)/(na-1); vb=sum((x-mb)**2 for x in B)/(nb-1)
    se2=va/na+vb/nb
    t=(ma-mb)/mp.sqrt(se2)
    df=se2**2/((va/na)**2/(na-1)+(vb/nb)**2/(nb-1))
    p=twosided(t,df)
    d=(ma-mb)/mp.sqrt(((na-1)*va+(nb-1)*vb)/(na+nb-2))
    half=quant('0.975',na-1)*mp.sqrt(va/na)
    s=lambda v: float(mp.nstr(v,20))
    out.append(dict(a=a,b=b,mean_a=s(ma),sd_a=s(mp.sqrt(va)),ci_half_a=s(half),t=s(t),df=s(df),p=s(p),d=s(d)))
tails=[]
for df in ['1','2','3.7','6','12.5','34','68','1000']:
    for t in ['1e-6','0.01','0.5','1','2.5','10','40','120']:
        p=twosided(mp.mpf(float(t)),mp.mpf(float(df)))
        if p>mp.mpf('1e-290'): tails.append([float(df),float(t),float(mp.nstr(p,20))])
json.dump({"origin": "reference.py, mpmath " + mp.__version__ + ", 60 digits", "cases": out, "tails": tails}, sys.stdout, separators=(",", ":"))
print()
